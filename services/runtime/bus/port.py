"""The bus between the replicas of a service: a wake-up that carries the bytes along, of which anything may get lost.

What counts is in PostgreSQL, and whoever listens reads it from there when nothing was heard. Publishing never waits and
never fails; what is published comes late, twice, out of order or not at all. One does not hear oneself.
"""

import asyncio
import struct
from collections import deque
from collections.abc import Iterator
from typing import Protocol

# Above it only the key is published: the listener reads the rest from the database.
MOST_PAYLOAD_BYTES = 256 * 1024
# What is published together at the most, so that nobody who hears it is busy for long; NATS itself takes 1 MiB.
_MOST_FRAME_BYTES = 64 * 1024
_MOST_WAITING = 10_000
_MOST_WAITING_BYTES = 8 * 1024 * 1024
_LENGTHS = struct.Struct(">HI")


class Listener(Protocol):
    """Whoever listens to a subject; both methods return at once."""

    def received(self, key: bytes, payload: bytes) -> None:
        """Take what another replica has published; the payload is empty when there is none, or it was too large."""

    def missed(self) -> None:
        """Look for oneself: something may have been published that did not arrive."""


class Bus(Protocol):
    """What the replicas of a service tell one another."""

    def publish(self, subject: str, key: bytes, payload: bytes = b"") -> None:
        """Tell the other replicas, at some time or never."""

    async def subscribe(self, subject: str, listener: Listener) -> None:
        """Listen from now on, or from when the bus is there."""

    async def run(self) -> None:
        """Carry what is published, until cancelled."""


class Exchange:
    """What connects buses in one process."""

    def __init__(self) -> None:
        self._listening: list[tuple[InProcessBus, str, Listener]] = []

    def add(self, bus: "InProcessBus", subject: str, listener: Listener) -> None:
        """Let a bus hear what others publish."""
        self._listening.append((bus, subject, listener))

    def others(self, publisher: "InProcessBus", subject: str) -> list[Listener]:
        """List who hears what a bus publishes."""
        return [listener for bus, heard, listener in self._listening if heard == subject and bus is not publisher]


class InProcessBus:
    """A bus within one process: for a single replica, which has nobody to tell, and for tests."""

    def __init__(self, exchange: Exchange | None = None) -> None:
        self._exchange = exchange or Exchange()

    def publish(self, subject: str, key: bytes, payload: bytes = b"") -> None:
        """Tell the other buses of the exchange, each in a moment of its own."""
        for listener in self._exchange.others(self, subject):
            asyncio.get_running_loop().call_soon(listener.received, key, _payload(payload))

    async def subscribe(self, subject: str, listener: Listener) -> None:
        """Listen."""
        self._exchange.add(self, subject, listener)

    async def run(self) -> None:
        """Do nothing: there is nothing to carry."""


class Outbox:
    """What waits to be published, bounded: the oldest is dropped when there is no room."""

    def __init__(self) -> None:
        # Since somebody has last looked, and altogether.
        self.dropped = self.all_dropped = 0
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._bytes = 0
        self._arrived = asyncio.Event()

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not self._waiting

    @property
    def length(self) -> int:
        """How many announcements wait."""
        return len(self._waiting)

    def put(self, subject: str, key: bytes, payload: bytes) -> None:
        """Add an announcement."""
        record = packed(key, _payload(payload))
        self._waiting.append((subject, record))
        self._bytes += len(record)
        while len(self._waiting) > _MOST_WAITING or self._bytes > _MOST_WAITING_BYTES:
            self._pop()
            self.dropped += 1
            self.all_dropped += 1
        self._arrived.set()

    async def take(self) -> tuple[str, bytes]:
        """Return a subject and what is to be published there: as much as was put one after the other and fits."""
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        subject, first = self._pop()
        records, size = [first], len(first)
        while self._waiting and self._waiting[0][0] == subject and size + len(self._waiting[0][1]) <= _MOST_FRAME_BYTES:
            records.append(self._pop()[1])
            size += len(records[-1])
        return subject, b"".join(records)

    def _pop(self) -> tuple[str, bytes]:
        subject, record = self._waiting.popleft()
        self._bytes -= len(record)
        return subject, record


def packed(key: bytes, payload: bytes) -> bytes:
    """Return an announcement as bytes; several may be joined."""
    return _LENGTHS.pack(len(key), len(payload)) + key + payload


def unpacked(frame: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the announcements of a frame; a ValueError when it is none."""
    place = 0
    while place < len(frame):
        if place + _LENGTHS.size > len(frame):
            raise ValueError("the frame ends within a header")
        key_size, payload_size = _LENGTHS.unpack_from(frame, place)
        start = place + _LENGTHS.size
        place = start + key_size + payload_size
        if place > len(frame):
            raise ValueError("the frame ends within an announcement")
        yield frame[start : start + key_size], frame[start + key_size : place]


def _payload(payload: bytes) -> bytes:
    return payload if len(payload) <= MOST_PAYLOAD_BYTES else b""
