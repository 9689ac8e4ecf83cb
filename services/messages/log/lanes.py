"""Who waits where for the log: the first lane for rooms whose heads are free, the second for one busy room at a time.

All that wait of one room are in one lane, in the order in which they came, so that nothing overtakes. The lanes know
neither the database nor whoever works them: they are told what became of a batch.
"""

import asyncio
from bisect import insort
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from operator import attrgetter
from typing import assert_never

from services.messages.log.edits import request_id_reused
from services.messages.log.outcomes import Appended
from services.messages.model import Anonymization, Deletion, Draft, Edit, Write, WriteKey
from services.runtime.clock import Clock
from services.runtime.contract.errors import ChatkitError, Unavailable, unknown_outcome
from services.runtime.ids import RoomUid
from services.runtime.tracing.trace import Stage, Trace, hashed

_MOST_IN_BATCH = 500


@dataclass(slots=True, eq=False)
class Waiting:
    """A write, and the future that its sender awaits."""

    write: Write
    deadline: float
    done: asyncio.Future[Appended]
    # Repetitions of the same send that came before the first was answered.
    twins: list["Waiting"] = field(default_factory=list)
    outcome_unknown: bool = False
    # How many came before it.
    number: int = 0
    # When it arrived, by the monotonic clock.
    arrived: float = 0.0
    # Of the call that waits for it, which is told what its time went into.
    trace: Trace | None = None
    # Whether somebody else had its room's head, so that it had to wait for that.
    was_busy: bool = False

    def succeed(self, result: Appended) -> None:
        """Answer the write and its repetitions."""
        for done in self._unanswered():
            done.set_result(result)

    def waited(self, until: float) -> None:
        """Take note of what it has waited for, by the monotonic clock."""
        if self.trace is not None:
            self.trace.put(Stage("room's head" if self.was_busy else "committer's queue", self.arrived, until))

    def fail(self, error: ChatkitError) -> None:
        """Refuse the write and its repetitions."""
        for done in self._unanswered():
            done.set_exception(error)

    @property
    def attributes(self) -> Mapping[str, str]:
        """Say which message it is: by its place where it has one by now, and by what its sender calls the write."""
        told = {}
        if self.done.done() and not self.done.cancelled() and self.done.exception() is None:
            told["messaging.message.id"] = f"{self.write.room_id}/{self.done.result().entry.message_seq}"
        if isinstance(self.write, Draft | Edit):
            told["chatkit.message.request_hash"] = hashed(self.write.request_id)
        return told

    def _unanswered(self) -> list[asyncio.Future[Appended]]:
        return [waiting.done for waiting in (self, *self.twins) if not waiting.done.done()]


class Lanes:
    """The writes that wait; those that were taken are put back or answered by whoever took them."""

    def __init__(self, clock: Clock, most_in_batch: int = _MOST_IN_BATCH) -> None:
        self._clock = clock
        self._most_in_batch = most_in_batch
        self._first: deque[Waiting] = deque()
        # By rooms, in the order of their turns. A room stays here while a batch of it is under way.
        self._second: dict[RoomUid, deque[Waiting]] = {}
        self._numbers = count()
        self._arrived = asyncio.Event()
        self._some_busy = asyncio.Event()

    def put(self, waiting: Waiting) -> None:
        """Let a write wait behind those of its room."""
        waiting.number = next(self._numbers)
        busy = self._second.get(waiting.write.room_uid)
        if busy is not None:
            busy.append(waiting)
        else:
            self._first.append(waiting)
            self._arrived.set()

    # The first lane.

    @property
    def first_length(self) -> int:
        """How many wait in the first lane."""
        return len(self._first)

    async def wait_first(self) -> None:
        """Return when something waits in the first lane."""
        if not self._first:
            self._arrived.clear()
            await self._arrived.wait()

    def take_first(self) -> list[Waiting]:
        """Take a batch out of the first lane."""
        return _taken(self._first, self._most_in_batch)

    # The second lane.

    @property
    def second_length(self) -> int:
        """How many rooms are in the second lane."""
        return len(self._second)

    async def wait_second(self) -> None:
        """Return when something waits in the second lane."""
        if not self._second:
            self._some_busy.clear()
            await self._some_busy.wait()

    def take_second(self) -> tuple[RoomUid, list[Waiting]]:
        """Take a batch of the room whose turn it is; `rotate` ends the turn."""
        room_uid, queue = next(iter(self._second.items()))
        return room_uid, _taken(queue, self._most_in_batch)

    def rotate(self, room_uid: RoomUid) -> None:
        """Put a room behind the others, or let it be free when nothing of it waits."""
        queue = self._second.pop(room_uid)
        if queue:
            self._second[room_uid] = queue

    # Both.

    def set_aside(self, batch: Sequence[Waiting]) -> None:
        """Let writes wait for their rooms' heads, and behind them what waits of these rooms in the first lane."""
        rooms = {one.write.room_uid for one in batch}
        behind = [one for one in self._first if one.write.room_uid in rooms]
        if behind:
            self._first = deque(one for one in self._first if one.write.room_uid not in rooms)
        for one in (*batch, *behind):
            one.was_busy = True
            _insert(self._second.setdefault(one.write.room_uid, deque()), one)
        self._some_busy.set()

    def put_back(self, batch: Sequence[Waiting]) -> None:
        """Let writes wait again, in their room's lane and before those that came after them."""
        for one in batch:
            busy = self._second.get(one.write.room_uid)
            _insert(self._first if busy is None else busy, one)
        self._arrived.set()

    def leaders(self, batch: Sequence[Waiting]) -> list[Waiting]:
        """Return what a batch has to append: those whose time is not over, each write once."""
        return _folded(self._living(batch))

    def expire(self) -> None:
        """Refuse those whose time is over."""
        self._living(self._first)
        self._first = deque(one for one in self._first if not one.done.done())
        for queue in self._second.values():
            self._living(queue)

    def _living(self, batch: Sequence[Waiting]) -> list[Waiting]:
        now = self._clock.monotonic()
        for one in batch:
            if one.deadline <= now:
                one.waited(now)
                one.fail(_too_late(one))
        return [one for one in batch if not one.done.done()]


def _taken(queue: deque[Waiting], most: int) -> list[Waiting]:
    return [queue.popleft() for _ in range(min(len(queue), most))]


def _insert(queue: deque[Waiting], one: Waiting) -> None:
    insort(queue, one, key=attrgetter("number"))


def _folded(batch: Sequence[Waiting]) -> list[Waiting]:
    leaders: dict[WriteKey, Waiting] = {}
    for waiting in batch:
        leader = leaders.setdefault(waiting.write.key, waiting)
        if leader is waiting:
            continue
        if leader.write.content_hash == waiting.write.content_hash:
            leader.twins.append(waiting)
        else:
            waiting.fail(_reused(waiting.write))
    return list(leaders.values())


def _reused(write: Write) -> ChatkitError:
    match write:
        case Draft() | Edit():
            return request_id_reused(write.request_id)
        case Deletion() | Anonymization():
            raise TypeError("there is one content only")
        case _:
            assert_never(write)


def _too_late(one: Waiting) -> ChatkitError:
    if one.outcome_unknown:
        return unknown_outcome()
    return Unavailable(
        "DATABASE_UNAVAILABLE",
        "the message could not be stored in time",
        retry_after=timedelta(seconds=1),
    )
