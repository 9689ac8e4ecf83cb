"""The HTTP listener: uvicorn in this process's loop, started and stopped with the service, encrypted as it is."""

import asyncio
import contextlib
import logging
import socket
import ssl
import struct
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from services.runtime.process.server import Server
from services.runtime.settings import TlsFiles

# Longer than the edge keeps an idle connection, so that it is never the one that is surprised.
_KEEP_ALIVE_SECONDS = 75
_BACKLOG = 1024
_SEND_BYTES = 64 * 1024
# With what a socket is closed that sends nothing more, and keeps nothing.
_RESET = struct.pack("ii", 1, 0)
_LAST_WORD_SECONDS, _LOOK_SECONDS = 1.0, 0.01


class HttpListener:
    """Listens from the moment it is made; `run` answers until it is told to stop."""

    def __init__(self, app: ASGIApp, listen: str, server: Server) -> None:
        self._socket = _listen(listen)
        host, _, _ = listen.rpartition(":")
        server.http_address = f"{host}:{self._socket.getsockname()[1]}"
        tls = server.settings.tls
        # It would say on its own what the service says, in another form.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        config = uvicorn.Config(
            _cutting(app),
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            http="httptools",
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=max(1, int(server.settings.shutdown_grace_seconds)),
            ssl_context_factory=(lambda _config, _default: tls_context(tls)) if tls is not None else None,
        )
        self._uvicorn = _Uvicorn(config)
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Answer calls until `stop`."""
        try:
            await self._uvicorn.serve(sockets=[self._socket])
        finally:
            self._socket.close()
            self._ended.set()

    async def stop(self) -> None:
        """Take no new calls, and return when those that are open have ended or were given up."""
        self._uvicorn.should_exit = True
        await self._ended.wait()


class _Uvicorn(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the process."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Leave nothing open: what was given up has its last word, and then its connection ends."""
        await super().shutdown(sockets)
        loop = asyncio.get_running_loop()
        until = loop.time() + _LAST_WORD_SECONDS
        while self.server_state.connections and loop.time() < until:  # noqa: ASYNC110 - no event
            await asyncio.sleep(_LOOK_SECONDS)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        # So that they hear of it.
        await asyncio.sleep(0)


def _cutting(app: ASGIApp) -> ASGIApp:
    """Let a connection end at once when its answer fails half-way.

    uvicorn closes it as well, and then it stays, with megabytes in buffers, until the client has read what was written,
    which may be never.
    """

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        except BaseException:
            cycle = getattr(send, "__self__", None)
            if isinstance(cycle, RequestResponseCycle) and cycle.response_started:
                if (connection := cycle.transport.get_extra_info("socket")) is not None:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                cycle.transport.abort()
            raise

    return answer


def _listen(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        # As gRPC does, so that both kinds of port can be held for a process that is restarted.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # Else the system would take a whole file from us for whoever does not read it.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _SEND_BYTES)
        listening.bind((host, int(port)))
        listening.listen(_BACKLOG)
        listening.setblocking(False)
    except OSError:
        listening.close()
        raise OSError(f"{address} can't be listened on") from None
    return listening


def tls_context(files: TlsFiles) -> ssl.SSLContext:
    """Return what asks every client for a certificate; files that are replaced are read by the next handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    _load(context, files)

    def renew(connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        fresh = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        fresh.verify_mode = ssl.CERT_REQUIRED
        with contextlib.suppress(OSError, ssl.SSLError):
            _load(fresh, files)
            connection.context = fresh

    context.sni_callback = renew
    return context


def _load(context: ssl.SSLContext, files: TlsFiles) -> None:
    context.load_cert_chain(files.certificate, files.key)
    context.load_verify_locations(files.ca)
