"""Group commit: writes that arrive while a transaction is under way share the next one, over many rooms.

Two lanes keep a stuck room from stopping the others. The first takes the heads that are free; writes to rooms that were
busy go to the second, which waits for one room at a time, for a moment each. Handlers await a future: a cancelled call
never cancels a transaction.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Protocol

import psycopg
import structlog

from services.messages.log.append import CommitUnknown, Connection, append, make_head
from services.messages.log.attempt import Attempt
from services.messages.log.connecting import Connect
from services.messages.log.figures import FIRST, SECOND, CommitFigures
from services.messages.log.lanes import Lanes, Waiting
from services.messages.log.outcomes import Appended, Result, outcome_of
from services.messages.model import LogEntry, Write, WriteKey
from services.runtime.clock import Clock
from services.runtime.contract.errors import ChatkitError, DeadlineExceeded, Internal, Unavailable
from services.runtime.deadline import Deadline
from services.runtime.ids import RoomUid
from services.runtime.problems import problem_of
from services.runtime.tracing.context import SpanContext
from services.runtime.tracing.trace import current

_log = structlog.get_logger()
LANES = 2
_MOST_WAITING = 10_000
# What a write leaves of its caller's deadline, for the answer.
_ANSWER_SECONDS = 0.2
# Under load a little patience makes batches form; without it they hold one or two messages.
_LINGER_SECONDS = 0.0015
# How long the second lane waits for one room's head before it looks at the next room.
_LOCK_WAIT_MS = 50
# The first pause before a lane connects again is short, because a restart of the database must cost little; each
# further one is longer.
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS, _PAUSE_GROWTH = 0.1, 2.0, 1.5
_KNOWN_HEADS = 100_000
# The database refuses the data; the same batch without the poisoned item may pass.
_DATA_CLASSES = ("22", "23")


class Publish(Protocol):
    """Whoever hands new entries to subscribers."""

    def sampled(self, room_uid: RoomUid, seq: int, span: SpanContext) -> None:
        """Hear that the send of an entry, which is about to be given, is a part of a trace."""

    def appended(self, room_uid: RoomUid, entry: LogEntry) -> None:
        """Take an entry that was committed; entries of one room come in their order."""

    def unknown(self, room_uid: RoomUid) -> None:
        """Look at the room's head at once: a commit may or may not have happened."""


class Committer:
    """Appends writes to the log; `run` does the work until it is cancelled."""

    def __init__(self, connect: Connect, publish: Publish, clock: Clock, figures: CommitFigures) -> None:
        self._connect = connect
        self._publish = publish
        self._clock = clock
        self._figures = figures
        self._lanes = Lanes(clock)
        self._heads: dict[RoomUid, None] = {}
        self._open = 0
        self._connected_once = 0

    @property
    def waiting(self) -> int:
        """How many writes were not answered yet."""
        return self._open

    @property
    def busy_rooms(self) -> int:
        """How many rooms are in the second lane, because somebody else has their heads."""
        return self._lanes.second_length

    async def send(self, write: Write, deadline: Deadline) -> Appended:
        """Append a write in time for its answer.

        Raises MESSAGE_NOT_FOUND, REQUEST_ID_REUSED, DATABASE_UNAVAILABLE, OUTCOME_UNKNOWN, and what `put` raises.
        """
        return await asyncio.shield(self.put(write, deadline))

    async def send_each(self, writes: Sequence[Write], deadline: Deadline) -> list[Result]:
        """Append writes, those to one room in the order given; return what became of each."""
        put = [self._try_to_put(write, deadline) for write in writes]
        if waiting := [done for done in put if not isinstance(done, ChatkitError)]:
            # Waited for, not gathered: a cancelled call cancels nothing.
            await asyncio.wait(waiting)
        return [done if isinstance(done, ChatkitError) else outcome_of(done) for done in put]

    def _try_to_put(self, write: Write, deadline: Deadline) -> "asyncio.Future[Appended] | ChatkitError":
        try:
            return self.put(write, deadline)
        except ChatkitError as error:
            return error

    def put(self, write: Write, deadline: Deadline) -> "asyncio.Future[Appended]":
        """Let a write wait for its turn, behind those of its room; return its future, which nobody may cancel.

        Raises OVERLOADED, and DEADLINE_EXCEEDED when there is no time left to begin.
        """
        seconds = deadline.less(_ANSWER_SECONDS).left()
        if not seconds:
            raise DeadlineExceeded("DEADLINE_EXCEEDED", "no time is left to store the message")
        if self._open >= _MOST_WAITING:
            raise Unavailable(
                "OVERLOADED",
                "too many messages are waiting to be stored",
                retry_after=timedelta(seconds=1),
            )
        now = self._clock.monotonic()
        done = asyncio.get_running_loop().create_future()
        trace = current.get()
        waiting = Waiting(write, now + seconds, done, arrived=now, trace=trace)
        if trace is not None:
            trace.is_about(waiting)
        self._open += 1
        waiting.done.add_done_callback(self._answered)
        self._lanes.put(waiting)
        return waiting.done

    async def run(self) -> None:
        """Work both lanes."""
        async with asyncio.TaskGroup() as lanes:
            lanes.create_task(self._keep_connected(self._work_first))
            lanes.create_task(self._keep_connected(self._work_second))

    def _answered(self, done: asyncio.Future[Appended]) -> None:
        self._open -= 1
        if not done.cancelled():
            # A caller who has gone away does not collect the error.
            done.exception()

    async def check(self) -> None:
        """Raise until each lane was connected once: without one of them writes would wait for ever."""
        if self._connected_once < LANES:
            raise LookupError("the committer's own connections are not made yet")

    async def _keep_connected(self, work: Callable[[Connection], Awaitable[None]]) -> None:
        pause, was_connected = _FIRST_PAUSE_SECONDS, False
        while True:
            try:
                async with self._connect() as connection:
                    if not was_connected:
                        was_connected = True
                        self._connected_once += 1
                    if pause > _FIRST_PAUSE_SECONDS:
                        _log.info("committer_connected")
                    pause = _FIRST_PAUSE_SECONDS
                    await work(connection)
            except (psycopg.Error, OSError) as error:
                self._figures.disconnections += 1
                _log.warning("committer_disconnected", problem=problem_of(error), pause_seconds=round(pause, 2))
            self._lanes.expire()
            await self._clock.sleep(pause)
            pause = min(pause * _PAUSE_GROWTH, _LONGEST_PAUSE_SECONDS)

    # The first lane.

    async def _work_first(self, connection: Connection) -> None:
        crowded = False
        while True:
            await self._lanes.wait_first()
            if crowded:
                await self._clock.sleep(_LINGER_SECONDS)
            batch = self._lanes.take_first()
            await self._attempt(connection, batch, wait_ms=None)
            crowded = len(batch) > 1 or self._lanes.first_length > 1

    # The second lane.

    async def _work_second(self, connection: Connection) -> None:
        while True:
            await self._lanes.wait_second()
            room_uid, batch = self._lanes.take_second()
            try:
                await self._attempt(connection, batch, wait_ms=_LOCK_WAIT_MS)
            finally:
                self._lanes.rotate(room_uid)

    # Both.

    async def _attempt(self, connection: Connection, batch: Sequence[Waiting], *, wait_ms: int | None) -> None:
        """Append a batch and answer it; what was not answered is in a lane again when this raises or returns."""
        if leaders := self._lanes.leaders(batch):
            lane = FIRST if wait_ms is None else SECOND
            self._figures.batch_writes[lane].observe(len(leaders))
            began = self._clock.monotonic()
            try:
                await self._append(connection, leaders, Attempt(lane, began), wait_ms=wait_ms)
            finally:
                self._figures.transaction_seconds[lane].observe(self._clock.monotonic() - began)

    async def _append(
        self, connection: Connection, leaders: Sequence[Waiting], attempt: Attempt, *, wait_ms: int | None
    ) -> None:
        try:
            await self._make_heads(connection, leaders)
            results = await append(
                connection, [one.write for one in leaders], wait_ms=wait_ms, progress=attempt.progress
            )
        except CommitUnknown:
            self._doubt(leaders)
            raise psycopg.OperationalError("a commit's outcome is unknown") from None
        except psycopg.Error as error:
            await self._recover(connection, leaders, error, wait_ms=wait_ms)
            return
        except BaseException:
            self._lanes.put_back(leaders)
            raise
        self._settle(leaders, results, attempt)
        if wait_ms is not None and len(results) < len(leaders):
            # A head that can't be found even by waiting for it is not there.
            for one in leaders:
                self._heads.pop(one.write.room_uid, None)

    async def _recover(
        self,
        connection: Connection,
        leaders: Sequence[Waiting],
        error: psycopg.Error,
        *,
        wait_ms: int | None,
    ) -> None:
        state = error.sqlstate or ""
        if connection.closed or connection.broken or not state:
            self._lanes.put_back(leaders)
            raise error
        try:
            await connection.rollback()
        except psycopg.Error:
            self._lanes.put_back(leaders)
            raise
        if not state.startswith(_DATA_CLASSES):
            # A deadlock or a lock's time-out: the rooms are busy.
            self._lanes.set_aside(leaders)
            if state[:2] not in {"40", "55"}:
                raise error
        elif len(leaders) == 1:
            _log.error("write_refused", sqlstate=state)
            leaders[0].fail(Internal("INTERNAL", f"the database refused the message ({state})"))
        else:
            await self._one_by_one(connection, leaders, wait_ms=wait_ms)

    async def _one_by_one(
        self,
        connection: Connection,
        leaders: Sequence[Waiting],
        *,
        wait_ms: int | None,
    ) -> None:
        rest = list(leaders)
        while rest:
            one = rest.pop(0)
            try:
                await self._attempt(connection, [one], wait_ms=wait_ms)
            except BaseException:
                self._lanes.put_back(rest)
                raise
            if not one.done.done():
                # At once, before the other lane may take what waits behind it.
                behind = [other for other in rest if other.write.room_uid == one.write.room_uid]
                self._lanes.set_aside(behind)
                rest = [other for other in rest if other.write.room_uid != one.write.room_uid]

    async def _make_heads(self, connection: Connection, leaders: Sequence[Waiting]) -> None:
        for room_uid in {one.write.room_uid for one in leaders} - self._heads.keys():
            await make_head(connection, room_uid)
            self._heads[room_uid] = None
        while len(self._heads) > _KNOWN_HEADS:
            del self._heads[next(iter(self._heads))]

    def _settle(self, leaders: Sequence[Waiting], results: dict[WriteKey, Result], attempt: Attempt) -> None:
        unanswered, now = [], self._clock.monotonic()
        stages = attempt.stages(len(leaders), now)
        for one in leaders:
            result = results.get(one.write.key)
            if result is None:
                unanswered.append(one)
                continue
            attempt.tell(one, stages)
            if isinstance(result, Appended):
                if result.is_new:
                    if one.trace is not None and one.trace.is_sampled:
                        self._publish.sampled(one.write.room_uid, result.entry.seq, one.trace.context)
                    # Before the acknowledgement, so that whoever has it finds the entry with every subscriber.
                    self._publish.appended(one.write.room_uid, result.entry)
                self._figures.wait_seconds.observe(now - one.arrived)
                one.succeed(result)
            else:
                one.fail(result)
        if unanswered:
            self._lanes.set_aside(unanswered)

    def _doubt(self, leaders: Sequence[Waiting]) -> None:
        self._figures.doubts += 1
        for one in leaders:
            one.outcome_unknown = True
            self._publish.unknown(one.write.room_uid)
        self._lanes.put_back(leaders)
