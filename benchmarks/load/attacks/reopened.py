"""Streams with much to begin with, opened all at once, again and again."""

import asyncio
import time
from contextlib import suppress
from typing import Any

from chatkit.messages.v1 import messages_service_pb2
from chatkit.rooms.v1 import rooms_service_pb2

from benchmarks.load.http2 import Connection, Head, connect
from benchmarks.load.jobs import Asked, ReopenedJob
from benchmarks.load.room import spawn

_PATIENCE_SECONDS = 30.0
_SETTLE_SECONDS = 0.5
_DECODERS = {
    "SubscribeRooms": messages_service_pb2.SubscribeRoomsResponse.FromString,
    "SubscribeUser": rooms_service_pb2.SubscribeUserResponse.FromString,
}


class _Stream:
    def __init__(self, asked: Asked) -> None:
        self.head = Head(asked.path, asked.token)
        self.body = asked.body
        self._decode: Any = _DECODERS[asked.path.rpartition("/")[2]]
        self.is_open = self.is_caught_up = False
        self.is_done = asyncio.Event()

    def open(self, connection: Connection) -> int:
        self.is_open = self.is_caught_up = False
        self.is_done.clear()
        return connection.call(self.head, self.body, self)

    def message(self, payload: bytes) -> None:
        self.is_open = True
        for event in self._decode(payload).events:
            # Of many rooms: the stream's own last word of its beginning, and not that of one of the rooms.
            if event.HasField("caught_up") and not getattr(event, "room_id", ""):
                self.is_caught_up = True
                self.is_done.set()

    def ended(self) -> None:
        self.is_done.set()


class Reopened:
    """All the streams."""

    def __init__(self, job: ReopenedJob) -> None:
        self._job = job
        self._lines = [[_Stream(asked) for asked in line] for line in job.connections]
        self._connections: list[Connection] = []
        self._came = self._caught_up = self._ended = self._late = self._rounds = 0

    async def begin(self) -> None:
        """Open them for the first time, and then again and again."""
        spawn(self._run())
        await asyncio.sleep(_SETTLE_SECONDS)

    async def _run(self) -> None:
        self._connections = [await connect(self._job.address) for _ in self._lines]
        while True:
            began = time.monotonic()
            await self._round()
            await asyncio.sleep(max(0.0, began + self._job.least_seconds - time.monotonic()))

    async def _round(self) -> None:
        for number, connection in enumerate(self._connections):
            if not connection.is_open:
                with suppress(OSError):
                    self._connections[number] = await connect(self._job.address)
        open_now = []
        for connection, line in zip(self._connections, self._lines, strict=True):
            for stream in line:
                open_now.append((connection, stream, stream.open(connection)))
                self._came += 1
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_SECONDS):
                for _, stream, _ in open_now:
                    await stream.is_done.wait()
        for connection, stream, call in open_now:
            self._caught_up += stream.is_caught_up
            self._ended += stream.is_done.is_set() and not stream.is_caught_up
            self._late += not stream.is_done.is_set()
            with suppress(RuntimeError):
                connection.cancel(call)
        self._rounds += 1

    def found(self) -> dict[str, Any]:
        """Return how often streams were asked for and were caught up, refused or too late; `taken` was not refused."""
        return {
            "came": self._came,
            "taken": self._came - self._ended,
            "rounds": self._rounds,
            "with_an_event_now": sum(stream.is_open for line in self._lines for stream in line),
            "caught_up": self._caught_up,
            "ended": self._ended,
            "too_late": self._late,
        }
