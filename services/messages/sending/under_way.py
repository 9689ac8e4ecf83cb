"""What of a stream of sends is under way: how much there may be of it, and in which order it is answered.

A message is under way from when it is taken until its result may be sent, which is when those before it in its room
have theirs.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from services.runtime.deadline import Deadline
from services.runtime.tracing.trace import Trace

# So many bytes are enough for whoever reads, and so little that thousands of those who do not are no danger.
MOST_MESSAGES = 256
MOST_BYTES = 256 * 1024


@dataclass(slots=True, eq=False)
class Sent:
    """A message that was taken from a stream, and its result once there is one."""

    number: int
    room_id: str
    deadline: Deadline
    # Of the message, and of its result as soon as there is one.
    size: int
    result: bytes | None = None
    # None for most, and once it was told.
    trace: Trace | None = None


class UnderWay:
    """The messages of a stream that are under way, and the bytes of what waits to be sent."""

    def __init__(self) -> None:
        # In the order in which they were taken.
        self._sent: dict[int, Sent] = {}
        self._rooms: dict[str, deque[Sent]] = {}
        self._bytes = 0
        self._less = asyncio.Event()

    @property
    def is_empty(self) -> bool:
        """Whether everything has its result, taken or not."""
        return not self._sent

    def add(self, sent: Sent) -> None:
        """Take note of a message, behind those that came before it."""
        self._sent[sent.number] = sent
        of_room = self._rooms.get(sent.room_id)
        if of_room is None:
            of_room = self._rooms[sent.room_id] = deque()
        of_room.append(sent)
        self._bytes += sent.size

    def answer(self, sent: Sent, result: bytes) -> list[bytes]:
        """Give a message its result, the first of which counts; return the results that may be sent now, in order."""
        if sent.result is not None:
            return []
        sent.result = result
        self._bytes += len(result) - sent.size
        sent.size = len(result)
        of_room = self._rooms[sent.room_id]
        released = []
        while of_room and (ready := of_room[0].result) is not None:
            del self._sent[of_room.popleft().number]
            released.append(ready)
        if not of_room:
            del self._rooms[sent.room_id]
        self._less.set()
        return released

    def waits(self, size: int) -> None:
        """Count what waits to be sent beside results."""
        self._bytes += size

    def taken(self, size: int) -> None:
        """Count no longer what was sent."""
        self._bytes -= size
        self._less.set()

    def overdue(self) -> Iterator[Sent]:
        """Yield the messages without a result whose deadline is over."""
        for sent in list(self._sent.values()):
            if sent.deadline.left():
                return
            if sent.result is None:
                yield sent

    async def wait_for_place(self) -> None:
        """Return when another message may be taken."""
        while len(self._sent) >= MOST_MESSAGES or self._bytes >= MOST_BYTES:
            self._less.clear()
            await self._less.wait()
