"""The port on which a process tells its figures and how it is: `/metrics`, `/healthz`, `/readyz`, and what else it has.

Requests are answered in threads of their own, so that rendering stops nobody's call for longer than Python's threads
stop one another, and so that a process whose loop stands still can say so. What the parts of the process keep is read
on the loop.
"""

import asyncio
import json
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

from prometheus_client.exposition import choose_encoder

from services.runtime.metrics.registry import Metrics

# How long the loop may take to answer before it stands still.
LOOP_SECONDS = 2.0
# How long a client may take to ask and to read.
_CLIENT_SECONDS = 5.0
_MOST_AT_ONCE = 8
_TEXT = "text/plain; charset=utf-8"

# What answers a request, by what it accepts.
_Tell = Callable[[str], tuple[HTTPStatus, str, bytes]]


class MetricsPort:
    """Listens until it is closed."""

    def __init__(
        self,
        listen: str,
        metrics: Metrics,
        is_ready: Callable[[], bool],
        *,
        more: Mapping[str, Callable[[], object]] | None = None,
        loop_seconds: float = LOOP_SECONDS,
    ) -> None:
        """Listen; raises OSError where the address can't be listened on.

        `more` are further pages by their paths, with what is called on the loop for what they tell in JSON.
        """
        host, _, port = listen.rpartition(":")
        self._metrics = metrics
        self._is_ready = is_ready
        self._loop_seconds = loop_seconds
        self._loop = asyncio.get_running_loop()
        pages: dict[str, _Tell] = {
            "/metrics": self._tell_figures,
            "/healthz": self._tell_health,
            "/readyz": self._tell_readiness,
            **{path: self._telling(read) for path, read in (more or {}).items()},
        }
        handler = type("_Handler", (_Handler,), {"pages": pages})
        try:
            self._server = _Server((host, int(port)), handler)
        except OSError as error:
            raise OSError(f"{listen} can't be listened on: {error.strerror}") from None
        self.address = f"{host}:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True).start()

    async def close(self) -> None:
        """Listen no more."""
        await asyncio.to_thread(self._server.shutdown)
        self._server.server_close()

    def _tell_figures(self, accept: str) -> tuple[HTTPStatus, str, bytes]:
        self._on_loop(self._metrics.take)
        encode, content_type = choose_encoder(accept)
        return HTTPStatus.OK, content_type, encode(self._metrics.registry)

    def _tell_health(self, _accept: str) -> tuple[HTTPStatus, str, bytes]:
        self._on_loop(lambda: None)
        return HTTPStatus.OK, _TEXT, b"the process answers\n"

    def _tell_readiness(self, _accept: str) -> tuple[HTTPStatus, str, bytes]:
        if self._on_loop(self._is_ready):
            return HTTPStatus.OK, _TEXT, b"ready\n"
        return HTTPStatus.SERVICE_UNAVAILABLE, _TEXT, b"not ready: it starts, waits for what it needs, or ends\n"

    def _telling(self, read: Callable[[], object]) -> _Tell:
        def tell(_accept: str) -> tuple[HTTPStatus, str, bytes]:
            return HTTPStatus.OK, "application/json", json.dumps(self._on_loop(read), indent=1).encode() + b"\n"

        return tell

    def _on_loop(self, read: Callable[[], object]) -> object:
        """Read something where nothing else happens meanwhile; raises TimeoutError where the loop stands still."""

        async def reading() -> object:
            return read()

        future = asyncio.run_coroutine_threadsafe(reading(), self._loop)
        try:
            return future.result(self._loop_seconds)
        except TimeoutError:
            raise TimeoutError(f"the loop has not answered for {self._loop_seconds:g} s") from None
        finally:
            future.cancel()


class _Server(ThreadingHTTPServer):
    # As the listener of calls: `./chatkit up` holds the port.
    allow_reuse_port = True
    daemon_threads = True
    request_queue_size = _MOST_AT_ONCE

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._places = threading.BoundedSemaphore(_MOST_AT_ONCE)
        super().__init__(address, handler)

    def process_request(self, request: object, client_address: object) -> None:
        """Answer in a thread, if there are not too many already."""
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)  # type: ignore[arg-type]
        else:
            self.shutdown_request(request)  # type: ignore[arg-type]

    def process_request_thread(self, request: object, client_address: object) -> None:
        """Answer, and give the place to somebody else."""
        try:
            super().process_request_thread(request, client_address)  # type: ignore[arg-type]
        finally:
            self._places.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that went away."""


class _Handler(BaseHTTPRequestHandler):
    pages: ClassVar[dict[str, _Tell]]
    timeout = _CLIENT_SECONDS
    server_version, sys_version = "chatkit", ""

    def do_GET(self) -> None:
        """Answer a request."""
        tell = self.pages.get(self.path.partition("?")[0])
        if tell is None:
            self._answer(HTTPStatus.NOT_FOUND, _TEXT, f"here are {', '.join(self.pages)}\n".encode())
            return
        try:
            self._answer(*tell(self.headers.get("accept", "")))
        except TimeoutError as error:
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, _TEXT, f"the process stands still: {error}\n".encode())

    def log_message(self, *_: object) -> None:
        """Log no request."""

    def _answer(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
