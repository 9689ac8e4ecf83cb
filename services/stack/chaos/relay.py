"""The way of one link: a listener that carries bytes to where it leads and back, as long as it may.

It runs in a process of its own (`relaying.py`): what it does must take no time from the clients that are watched.
"""

import asyncio
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

from services.stack.chaos.frames import Mangling

_MOST_WAITING_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Weather:
    """How a link fares: whether new connections are refused, which directions stand still, how late all comes."""

    refuses: bool = False
    stalls_there: bool = False
    stalls_back: bool = False
    delay_seconds: float = 0.0
    mangles: str = ""
    seed: int = 0


class Relay:
    """The way of one link; an address that begins with a slash is a Unix socket."""

    def __init__(self, to: str, *, is_nats: bool) -> None:
        self.to = to
        self.is_nats = is_nats
        self.weather = Weather()
        self.sides: set[Side] = set()
        self._connecting: set[asyncio.Task[None]] = set()

    async def listen(self, path: str = "") -> str:
        """Listen, and return where."""
        loop = asyncio.get_running_loop()
        if path:
            await loop.create_unix_server(lambda: Side(self, goes_there=True), path)
            return path
        server = await loop.create_server(lambda: Side(self, goes_there=True), "127.0.0.1", 0)
        return f"127.0.0.1:{server.sockets[0].getsockname()[1]}"

    def change(self, weather: Weather) -> None:
        """Let it fare so from now on."""
        self.weather = weather
        for side in tuple(self.sides):
            side.heed()

    def cut(self) -> int:
        """Cut every connection, and return how many there were."""
        sides = tuple(self.sides)
        for side in sides:
            side.abort()
        return sum(side.goes_there for side in sides)

    def lead(self, caller: "Side") -> None:
        """Make a connection for one that was taken."""
        other = Side(self, goes_there=False)
        caller.other, other.other = other, caller
        task = asyncio.ensure_future(self._lead(caller, other))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _lead(self, caller: "Side", other: "Side") -> None:
        loop = asyncio.get_running_loop()
        try:
            if self.to.startswith("/"):
                await loop.create_unix_connection(lambda: other, self.to)
            else:
                host, _, port = self.to.rpartition(":")
                await loop.create_connection(lambda: other, host, int(port))
        except OSError:
            caller.abort()
        else:
            caller.hold("connecting", False)


class Side(asyncio.Protocol):
    """One side of a connection; what it hears goes to the other one."""

    def __init__(self, relay: Relay, *, goes_there: bool) -> None:
        self.goes_there = goes_there
        self.other: Side | None = None
        self._relay = relay
        self._transport: asyncio.Transport | None = None
        # Why nothing is read.
        self._holds: set[str] = set()
        # What has come and is written to the other side later, and when; nothing for its end.
        self._late: deque[tuple[float, bytes]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._mangling = Mangling() if relay.is_nats and not goes_there else None
        if self._mangling is not None:
            self._mangling.begin(relay.weather.mangles, relay.weather.seed)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; a side that was taken looks for where it is led to."""
        self._transport = cast("asyncio.Transport", transport)
        if self.goes_there and self._relay.weather.refuses:
            self.abort()
            return
        self._relay.sides.add(self)
        if self.goes_there:
            self.hold("connecting", True)
        elif self.other is None or self.other.is_closed():
            self.abort()
            return
        self.heed()

    def data_received(self, data: bytes) -> None:
        """Carry it."""
        for piece in self._mangling.feed(data) if self._mangling is not None else (data,):
            self._send(piece)

    def eof_received(self) -> bool:
        """Let the transport close: none of those that are carried goes on in one direction."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Let the other side end, after what is on its way."""
        self._relay.sides.discard(self)
        if exc is None:
            self._send(b"")
        elif self.other is not None:
            self.other.abort()

    def pause_writing(self) -> None:
        """Take no more than goes out."""
        if self.other is not None:
            self.other.hold("full", True)

    def resume_writing(self) -> None:
        """Go on."""
        if self.other is not None:
            self.other.hold("full", False)

    def heed(self) -> None:
        """Do as the link fares."""
        weather = self._relay.weather
        is_stalled = weather.stalls_there if self.goes_there else weather.stalls_back
        if self.goes_there and "connecting" in self._holds and self.other is None and not is_stalled:
            self._relay.lead(self)
        if self._mangling is not None:
            for piece in self._mangling.begin(weather.mangles, weather.seed):
                self._send(piece)
        self.hold("stalled", is_stalled)

    def hold(self, why: str, is_on: bool) -> None:
        """Read nothing for some reason, or not for this one any more."""
        (self._holds.add if is_on else self._holds.discard)(why)
        if self._transport is not None and not self._transport.is_closing():
            (self._transport.pause_reading if self._holds else self._transport.resume_reading)()

    def abort(self) -> None:
        """Cut it: the other end hears of it at once, this one when it is told."""
        if self._transport is not None:
            self._transport.abort()
        if self.other is not None and not self.other.is_closed():
            self.other.abort()

    def is_closed(self) -> bool:
        """Tell whether it has ended."""
        return self._transport is not None and self._transport.is_closing()

    def _send(self, piece: bytes) -> None:
        delay = self._relay.weather.delay_seconds
        if not delay and not self._late:
            self._write(piece)
            return
        loop = asyncio.get_running_loop()
        # Nothing overtakes what came before it.
        due = max(loop.time() + delay, self._late[-1][0] if self._late else 0.0)
        self._late.append((due, piece))
        self.hold("late", sum(len(late) for _, late in self._late) > _MOST_WAITING_BYTES)
        if self._timer is None:
            self._timer = loop.call_at(due, self._write_late)

    def _write_late(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        while self._late and self._late[0][0] <= loop.time():
            self._write(self._late.popleft()[1])
        self.hold("late", False)
        if self._late:
            self._timer = loop.call_at(self._late[0][0], self._write_late)

    def _write(self, piece: bytes) -> None:
        transport = self.other._transport if self.other is not None else None  # noqa: SLF001 - of the same class
        if transport is None or transport.is_closing():
            return
        with suppress(OSError):
            transport.write(piece) if piece else transport.close()
