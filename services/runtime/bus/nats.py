"""The bus over NATS: a connection that is made anew for ever, and a process that does as well without it.

Every connection is a new client of nats-py, because its own reconnecting waits for a server that has stopped to read,
gives up for good after a refused sign-in, and its calls swallow cancellations.
"""

import asyncio
import random
import ssl
from contextlib import suppress
from itertools import cycle
from typing import Any

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.transport import TcpTransport

from services.runtime.bus.nats_url import NatsServers
from services.runtime.bus.port import Listener, Outbox, unpacked
from services.runtime.clock import Clock

_log = structlog.get_logger()
_CONNECT_SECONDS = 2
_ATTEMPT_SECONDS = 5.0
_PING_SECONDS = 5.0
_SUBSCRIBE_SECONDS = 0.2
_CLOSE_SECONDS = 1.0
# Delays of their own keep the replicas from coming back all at once.
_SHORTEST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 0.5
# What was received and not yet looked at; above it nats-py drops.
_MOST_UNREAD_BYTES = 16 * 1024 * 1024
# A second frame this soon after the first waits for more to pile up: a frame costs its hearers 80 microseconds, an
# announcement in it 4.
_COALESCE_SECONDS = 0.004
_BEHIND_SECONDS = 0.5
# nats-py's own pings are not needed beside ours.
_NEVER_SECONDS = 1_000_000
# How NATS says that the credential has no right to a subject; the text holds the subject and no secret.
_REFUSED = "permissions violation"
_NOT_THERE = (nats.errors.Error, OSError, TimeoutError, ssl.SSLError)


class _Transport(TcpTransport):
    """nats-py's transport, which can be given up, and says nothing before TLS where TLS was asked for."""

    def __init__(self, *, wants_tls: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._may_write = not wants_tls

    def __bool__(self) -> bool:
        # nats-py replaces a transport that is false, which its own is before it is connected.
        return True

    async def connect_tls(self, *arguments: Any, **options: Any) -> None:
        """Begin TLS."""
        await super().connect_tls(*arguments, **options)
        self._may_write = True

    def write(self, payload: bytes) -> None:
        """Write, unless it would tell our credentials to whoever reads along. Raises an OSError."""
        if not self._may_write:
            raise OSError("the server does not offer TLS")
        super().write(payload)  # type: ignore[no-untyped-call]

    def abort(self) -> None:
        """Close the socket at once, whatever waits to be written."""
        if self._io_writer is not None:
            self._io_writer.transport.abort()


class _Connection(Client):
    """One connection, which is closed once and never made again."""

    def __init__(self, *, wants_tls: bool) -> None:
        super().__init__()
        self._line = _Transport(wants_tls=wants_tls)
        self._transport = self._line
        self.ended = asyncio.Event()

    async def abandon(self) -> None:
        """Close it without waiting for the server."""
        self.ended.set()
        self._line.abort()
        with suppress(*_NOT_THERE, RuntimeError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self.close()


class NatsBus:
    """A process's part of the bus."""

    def __init__(self, name: str, servers: NatsServers, clock: Clock) -> None:
        self._name = name
        self._servers = servers
        self._clock = clock
        self._addresses = cycle(servers.addresses)
        self.outbox = Outbox()
        # How many connections were made, frames written and read, and times at which something may have been missed.
        self.connections = self.sent = self.received = self.misses = 0
        self._listeners: dict[str, Listener] = {}
        # The connection over which everything is subscribed to.
        self._connection: _Connection | None = None
        self._problem = ""
        self._is_behind = False
        self._refusals: set[str] = set()

    @property
    def is_connected(self) -> bool:
        """Tell whether the bus is there, as far as anybody knows."""
        return self._connection is not None

    def publish(self, subject: str, key: bytes, payload: bytes = b"") -> None:
        """Put it where the publishing task takes it from."""
        self.outbox.put(subject, key, payload)

    async def subscribe(self, subject: str, listener: Listener) -> None:
        """Listen; the server is waited for briefly when it is there, and not at all when it is not."""
        self._listeners[subject] = listener
        if self._connection is not None:
            with suppress(*_NOT_THERE):
                async with asyncio.timeout(_SUBSCRIBE_SECONDS):
                    await self._attach(self._connection, subject)
                    await _settled(self._connection, _SUBSCRIBE_SECONDS)

    async def run(self) -> None:
        """Connect, carry, and connect again, until cancelled."""
        while True:
            # In a task of its own, because nats-py swallows a cancellation now and then.
            life = asyncio.create_task(self._live(), name="nats")
            try:
                await asyncio.wait([life])
            finally:
                while not life.done():
                    life.cancel()
                    await asyncio.wait([life], timeout=_CLOSE_SECONDS)
            self._report(_problem_of(life))
            await self._clock.sleep(random.uniform(_SHORTEST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS))

    async def _live(self) -> None:
        """Connect, and carry until the connection is lost."""
        connection = await self._connect()
        try:
            attached: set[str] = set()
            # Somebody may subscribe meanwhile.
            while waiting := self._listeners.keys() - attached:
                for subject in waiting:
                    await self._attach(connection, subject)
                await _settled(connection, _PING_SECONDS)
                attached |= waiting
            self._connection = connection
            self.connections += 1
            self._report("")
            # Nobody knows what was said meanwhile.
            self._missed()
            await self._carry(connection)
        finally:
            self._connection = None
            await connection.abandon()

    async def _carry(self, connection: _Connection) -> None:
        """Publish and ping until one of them fails or the connection has ended."""
        works = [
            asyncio.create_task(work)
            for work in (self._publish(connection), self._ping(connection), connection.ended.wait())
        ]
        try:
            done, _ = await asyncio.wait(works, return_when=asyncio.FIRST_COMPLETED)
            for work in done:
                work.result()
        finally:
            for work in works:
                work.cancel()

    async def _publish(self, connection: _Connection) -> None:
        while not connection.ended.is_set():
            subject, frame = await self.outbox.take()
            try:
                # Waits while the server takes nothing; what is put meanwhile waits in the outbox.
                await connection.publish(subject, frame)
                self.sent += 1
            except nats.errors.MaxPayloadError:
                _log.error("bus_frame_too_large", size=len(frame), most=connection.max_payload)
            if self.outbox.dropped:
                _log.warning("bus_dropped", count=self.outbox.dropped)
                self.outbox.dropped = 0
            if self.outbox.is_empty:
                await self._clock.sleep(_COALESCE_SECONDS)

    async def _ping(self, connection: _Connection) -> None:
        while not connection.ended.is_set():
            await self._clock.sleep(_PING_SECONDS)
            async with asyncio.timeout(_PING_SECONDS):
                await _settled(connection, _PING_SECONDS)

    async def _attach(self, connection: _Connection, subject: str) -> None:
        listener = self._listeners[subject]

        async def take(message: Msg) -> None:
            self.received += 1
            try:
                for key, payload in unpacked(message.data):
                    listener.received(key, payload)
            except ValueError as error:
                _log.error("bus_frame_malformed", subject=subject, problem=str(error))
            # nats-py goes on at once when there is more, and nothing else would run.
            await asyncio.sleep(0)

        await connection.subscribe(subject, cb=take, pending_bytes_limit=_MOST_UNREAD_BYTES)

    async def _connect(self) -> _Connection:
        servers = self._servers
        options: dict[str, Any] = {"tls": servers.tls()} if servers.tls is not None else {}
        connection = _Connection(wants_tls=servers.tls is not None)
        try:
            async with asyncio.timeout(_ATTEMPT_SECONDS):
                await connection.connect(
                    f"nats://{next(self._addresses)}",
                    name=f"chatkit {self._name}",
                    user=servers.user,
                    password=servers.password,
                    token=servers.token,
                    no_echo=True,
                    allow_reconnect=False,
                    max_reconnect_attempts=1,
                    reconnect_time_wait=0,
                    connect_timeout=_CONNECT_SECONDS,
                    ping_interval=_NEVER_SECONDS,
                    error_cb=self._failed,
                    closed_cb=_setter(connection.ended),
                    **options,
                )
        except BaseException:
            await connection.abandon()
            raise
        return connection

    async def _failed(self, error: Exception) -> None:
        if not isinstance(error, _NOT_THERE):
            _log.error("bus_listener_failed", exc_info=error)
        elif _REFUSED in str(error).lower():
            self._refused(str(error))
        elif not isinstance(error, nats.errors.SlowConsumerError):
            self._report(type(error).__name__)
        elif not self._is_behind:
            # nats-py drops what comes too fast, and says so each time: once in a while is enough.
            self._is_behind = True
            asyncio.get_running_loop().call_later(_BEHIND_SECONDS, self._catch_up)

    def _refused(self, problem: str) -> None:
        """Say once of each subject that NATS takes nothing there from us; the connection goes on."""
        if problem not in self._refusals:
            self._refusals.add(problem)
            _log.error("bus_refused", problem=problem)

    def _catch_up(self) -> None:
        self._is_behind = False
        _log.warning("bus_too_fast")
        self._missed()

    def _missed(self) -> None:
        self.misses += 1
        for listener in self._listeners.values():
            listener.missed()

    def _report(self, problem: str) -> None:
        """Say it once for as long as it is so. Only a type's name: a text may hold an address with its password."""
        if problem and not self._problem:
            _log.warning("nats_away", problem=problem)
        elif not problem:
            _log.info("nats_connected")
        self._problem = problem


def _problem_of(life: asyncio.Task[None]) -> str:
    """Return what a connection ended with."""
    error = None if life.cancelled() else life.exception()
    if error is not None and not isinstance(error, _NOT_THERE):
        # Whatever has gone wrong there, the service goes on without it.
        _log.error("bus_failed", exc_info=error)
    return type(error).__name__ if error is not None else "ended"


def _setter(event: asyncio.Event) -> Any:
    async def set_it() -> None:
        event.set()

    return set_it


async def _settled(connection: _Connection, seconds: float) -> None:
    """Return when the server has taken everything that was said before."""
    # nats-py writes its pings past what waits to be written, so that goes first.
    await asyncio.sleep(0)
    await connection.flush(seconds)  # type: ignore[arg-type] # wait_for takes fractions
