"""Who waits where for the log: nothing of one room overtakes, nothing is lost, and each send is answered once.

The machine drives a whole committer, and says what becomes of each batch that this appends. No database.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from unittest.mock import patch
from uuid import UUID

import psycopg
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from structlog.testing import capture_logs

from services.messages.log import committer as committer_module
from services.messages.log.append import CommitUnknown
from services.messages.log.committer import Committer
from services.messages.log.edits import request_id_reused
from services.messages.log.figures import CommitFigures
from services.messages.log.lanes import Lanes, Waiting
from services.messages.log.outcomes import Appended, Result
from services.messages.model import Draft, LogEntry, WriteKey
from services.runtime.contract.errors import ChatkitError, DeadlineExceeded
from services.runtime.deadline import Deadline
from services.runtime.ids import RoomId, RoomUid, UserId, UserUid
from services.runtime.metrics.registry import Metrics
from tests.support.clock import ManualClock, deadlines_by
from tests.support.eventually import HANG_SECONDS

_TIME = datetime(2026, 1, 1, tzinfo=UTC)
_ROOMS = [RoomUid(UUID(int=number)) for number in range(1, 4)]
_SENDER = UserUid(UUID(int=9))
_POISON = b"poison"


def _draft(number: int, room: int, request_id: str, content: bytes = b"hash") -> Draft:
    return Draft(
        room_uid=_ROOMS[room],
        room_id=RoomId(str(room)),
        sender_uid=_SENDER,
        sender_id=UserId("alice"),
        request_id=request_id,
        content_hash=content,
        unplaced=str(number).encode(),
    )


def _number(draft: Draft) -> int:
    return int(draft.unplaced)


def _waiting(room: int, request_id: str, content: bytes = b"hash", deadline: float = 10.0) -> Waiting:
    done: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()
    return Waiting(_draft(0, room, request_id, content), deadline, done)


def _put(lanes: Lanes, *waiting: Waiting) -> None:
    for one in waiting:
        lanes.put(one)


def _reason(waiting: Waiting) -> str:
    error = waiting.done.exception()
    assert isinstance(error, ChatkitError)
    return error.reason


async def test_what_waits_of_a_room_follows_what_is_set_aside_of_it() -> None:
    lanes = Lanes(ManualClock())
    first, other, second = _waiting(0, "a"), _waiting(1, "b"), _waiting(0, "c")
    _put(lanes, first)
    taken = lanes.take_first()
    _put(lanes, other, second)
    lanes.set_aside(taken)
    third = _waiting(0, "d")
    _put(lanes, third)
    assert lanes.first_length == 1
    assert lanes.take_first() == [other]
    assert lanes.take_second() == (_ROOMS[0], [first, second, third])


async def test_what_is_set_aside_once_more_goes_before_what_came_meanwhile() -> None:
    lanes = Lanes(ManualClock(), most_in_batch=2)
    writes = [_waiting(0, name) for name in "abcd"]
    _put(lanes, *writes[:3])
    lanes.set_aside(lanes.take_first())
    _, taken = lanes.take_second()
    _put(lanes, writes[3])
    lanes.set_aside(taken)
    lanes.rotate(_ROOMS[0])
    assert [lanes.take_second()[1] for _ in range(2)] == [writes[:2], writes[2:]]


async def test_a_repetition_is_answered_with_its_send_whatever_came_between_two_tries() -> None:
    lanes = Lanes(ManualClock())
    send, repetition, another = (_waiting(0, "same") for _ in range(3))
    _put(lanes, send, repetition)
    lanes.set_aside(lanes.leaders(lanes.take_first()))
    _, taken = lanes.take_second()
    _put(lanes, another)
    lanes.set_aside(lanes.leaders(taken))
    (leader,) = lanes.leaders(lanes.take_second()[1])
    answer = Appended(LogEntry.created(1, _TIME, b""), is_new=True)
    leader.succeed(answer)
    assert [one.done.result() for one in (send, repetition, another)] == [answer] * 3


async def test_what_is_put_back_goes_before_all_that_came_after_it() -> None:
    lanes = Lanes(ManualClock(), most_in_batch=2)
    writes = [_waiting(number % 2, f"{number}") for number in range(4)]
    _put(lanes, *writes)
    lanes.put_back(lanes.take_first())
    assert [*lanes.take_first(), *lanes.take_first()] == writes
    lanes.set_aside(writes[::2])
    lanes.put_back(writes[1::2])
    assert lanes.take_first() == writes[1::2]
    room_uid, taken = lanes.take_second()
    lanes.put_back(taken)
    lanes.rotate(room_uid)
    assert lanes.take_second() == (_ROOMS[0], writes[::2])


async def test_rooms_have_their_turns_and_are_free_when_nothing_of_them_waits() -> None:
    lanes = Lanes(ManualClock(), most_in_batch=1)
    writes = [_waiting(number % 2, f"{number}") for number in range(3)]
    lanes.set_aside(writes)
    turns = []
    for _ in range(3):
        room_uid, taken = lanes.take_second()
        turns += taken
        lanes.rotate(room_uid)
    assert turns == [writes[0], writes[1], writes[2]]
    _put(lanes, late := _waiting(0, "late"))
    assert lanes.take_first() == [late]


async def test_other_content_under_one_request_id_is_refused_and_the_others_share_an_answer() -> None:
    lanes = Lanes(ManualClock())
    send, other, repetition, next_one = (
        _waiting(0, "same"),
        _waiting(0, "same", b"other"),
        _waiting(0, "same"),
        _waiting(0, "next"),
    )
    assert lanes.leaders([send, other, repetition, next_one]) == [send, next_one]
    assert (send.twins, next_one.twins) == ([repetition], [])
    assert _reason(other) == "REQUEST_ID_REUSED"
    send.fail(request_id_reused("same"))
    assert (_reason(repetition), next_one.done.done()) == ("REQUEST_ID_REUSED", False)


async def test_whose_time_is_over_is_refused_and_no_longer_appended() -> None:
    clock = ManualClock()
    lanes = Lanes(clock)
    late, doubtful, patient = (_waiting(0, "a", deadline=5), _waiting(1, "b", deadline=5), _waiting(0, "c", deadline=6))
    doubtful.outcome_unknown = True
    _put(lanes, late, doubtful, patient)
    busy = [_waiting(2, "d", deadline=5), _waiting(2, "e", deadline=6)]
    lanes.set_aside(busy)
    await clock.advance(4.9)
    lanes.expire()
    assert lanes.first_length == 3
    await clock.advance(0.1)
    lanes.expire()
    assert (_reason(late), _reason(doubtful), _reason(busy[0])) == (
        "DATABASE_UNAVAILABLE",
        "OUTCOME_UNKNOWN",
        "DATABASE_UNAVAILABLE",
    )
    assert lanes.first_length == 1
    refusal = late.done.exception()
    assert isinstance(refusal, ChatkitError)
    assert refusal.retry_after == timedelta(seconds=1)
    assert lanes.leaders(lanes.take_first()) == [patient]
    assert lanes.leaders(lanes.take_second()[1]) == [busy[1]]


async def test_whoever_works_a_lane_waits_until_there_is_something() -> None:
    lanes = Lanes(ManualClock())
    await _check_that_it_waits(lanes.wait_first, lambda: lanes.put(_waiting(0, "a")))
    lanes.take_first()
    await _check_that_it_waits(lanes.wait_first, lambda: lanes.put_back([_waiting(0, "b")]))
    await _check_that_it_waits(lanes.wait_second, lambda: lanes.set_aside([_waiting(1, "c")]))
    lanes.rotate(lanes.take_second()[0])
    await _check_that_it_waits(lanes.wait_second, lambda: lanes.set_aside([_waiting(1, "d")]))


async def _check_that_it_waits(wait: Callable[[], Awaitable[None]], fill: Callable[[], None]) -> None:
    waiting = asyncio.ensure_future(wait())
    await ManualClock().advance(0)
    assert not waiting.done()
    fill()
    await waiting
    await wait()


async def test_a_write_waits_for_what_is_left_but_for_the_answer_and_one_that_is_too_late_not_at_all() -> None:
    clock, nobody = ManualClock(), cast("Any", None)
    committer = Committer(nobody, nobody, clock, CommitFigures(Metrics()))
    in_time = _draft(0, 0, "in time")
    with deadlines_by(clock):
        deadline = Deadline.after(10.0)
        clock.jump(9.5)
        sending = asyncio.ensure_future(committer.send(in_time, deadline))
        await clock.advance(0)
        clock.jump(0.5)
        async with asyncio.timeout(HANG_SECONDS):
            with pytest.raises(DeadlineExceeded):
                await committer.send(_draft(1, 0, "too late"), deadline)
            results = await committer.send_each([_draft(2, 0, "late"), _draft(3, 1, "late")], deadline)
    assert [type(result) for result in results] == [DeadlineExceeded] * 2
    (waiting,) = committer._lanes.take_first()
    assert (waiting.write, committer._open) == (in_time, 1)
    assert waiting.deadline == pytest.approx(9.9)
    sending.cancel()


class _Connection:
    closed = False
    broken = False

    async def rollback(self) -> None:
        """Undo what was begun."""


class _Batch:
    """A batch that is being appended, until the machine says what becomes of it."""

    def __init__(self, connection: _Connection, drafts: Sequence[Draft], *, waits: bool) -> None:
        self.connection = connection
        self.drafts = drafts
        self.waits = waits
        self.done: asyncio.Future[dict[WriteKey, Result]] = asyncio.get_running_loop().create_future()

    @property
    def rooms(self) -> set[UUID]:
        return {draft.room_uid for draft in self.drafts}


class _Send:
    """A call, and what it was answered."""

    def __init__(self, draft: Draft, task: "asyncio.Task[Appended]") -> None:
        self.draft = draft
        self.task = task


_BUSY_OR_BROKEN = [psycopg.errors.DeadlockDetected, psycopg.errors.InternalError_]


class _Machine(RuleBasedStateMachine):
    """A committer among rooms that others hold, connections that break, and data that is refused."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = ManualClock()
        self.logs: dict[UUID, list[Draft]] = {room_uid: [] for room_uid in _ROOMS}
        self.published: list[tuple[UUID, int]] = []
        self.held: set[UUID] = set()
        self.sends: list[_Send] = []
        # By whether they wait for their room.
        self.under_way: dict[bool, _Batch] = {}
        self.committer = Committer(cast("Any", self._connect), cast("Any", self), self.clock, CommitFigures(Metrics()))
        self.committer._lanes = Lanes(self.clock, most_in_batch=3)
        self._undone = ExitStack()
        self._undone.enter_context(capture_logs())
        self._undone.enter_context(deadlines_by(self.clock))
        self._undone.enter_context(patch.object(committer_module, "append", self._append))
        self._undone.enter_context(patch.object(committer_module, "make_head", self._make_head))
        self.run = self.loop.create_task(self.committer.run())
        self._settle()

    # What the committer is given.

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[_Connection]:
        yield _Connection()

    async def _make_head(self, _connection: _Connection, _room_uid: UUID) -> None:
        pass

    async def _append(
        self, connection: _Connection, drafts: Sequence[Draft], *, wait_ms: int | None, progress: object
    ) -> dict[WriteKey, Result]:
        assert progress is not None
        batch = _Batch(connection, drafts, waits=wait_ms is not None)
        assert len({draft.key for draft in drafts}) == len(drafts)
        assert batch.waits not in self.under_way
        assert all(not batch.rooms & other.rooms for other in self.under_way.values())
        self.under_way[batch.waits] = batch
        return await batch.done

    def appended(self, room_uid: UUID, entry: LogEntry) -> None:
        self.published.append((room_uid, entry.seq))

    def unknown(self, room_uid: UUID) -> None:
        """Look at the room: nothing follows from it here."""

    # The log.

    def _store(self, draft: Draft) -> Result:
        log = self.logs[draft.room_uid]
        for place, stored in enumerate(log, 1):
            if stored.key == draft.key:
                if stored.content_hash != draft.content_hash:
                    return request_id_reused(draft.request_id)
                return Appended(LogEntry.created(place, _TIME, b""), is_new=False)
        self._check_that_nothing_is_overtaken_by(draft)
        log.append(draft)
        return Appended(LogEntry.created(len(log), _TIME, b""), is_new=True)

    def _check_that_nothing_is_overtaken_by(self, draft: Draft) -> None:
        stored = {one.key for one in self.logs[draft.room_uid]}
        for send in self.sends[: _number(draft)]:
            if send.draft.room_uid == draft.room_uid and not send.task.done():
                assert send.draft.key in stored, f"{_number(draft)} overtakes {_number(send.draft)}"

    # What happens.

    @rule(
        rooms=st.lists(st.sampled_from(range(len(_ROOMS))), min_size=1, max_size=4),
        seconds=st.sampled_from([0.5, 3.0, 60.0]),
        is_poisoned=st.booleans(),
    )
    def send(self, rooms: list[int], seconds: float, is_poisoned: bool) -> None:
        for place, room in enumerate(rooms):
            content = _POISON if is_poisoned and place == 0 else b"hash"
            self._send(_draft(len(self.sends), room, f"{len(self.sends)}", content), seconds)
        self._settle()

    @precondition(lambda self: self.sends)
    @rule(which=st.integers(0), seconds=st.sampled_from([3.0, 60.0]), is_other=st.booleans())
    def repeat(self, which: int, seconds: float, is_other: bool) -> None:
        first = self.sends[-1 - which % len(self.sends)].draft
        content = b"other" if is_other else first.content_hash
        self._send(_draft(len(self.sends), _ROOMS.index(first.room_uid), first.request_id, content), seconds)
        self._settle()

    def _send(self, draft: Draft, seconds: float) -> None:
        self.sends.append(_Send(draft, self.loop.create_task(self.committer.send(draft, Deadline.after(seconds)))))

    @rule(room_uid=st.sampled_from(_ROOMS))
    def hold(self, room_uid: UUID) -> None:
        self.held ^= {room_uid}

    @precondition(lambda self: self.under_way)
    @rule(of_second=st.booleans())
    def commit(self, of_second: bool) -> None:
        """End a batch as the database would."""
        batch = self._ended(of_second)
        if any(draft.content_hash == _POISON for draft in batch.drafts):
            batch.done.set_exception(psycopg.errors.CharacterNotInRepertoire())
        elif batch.waits and batch.rooms & self.held:
            batch.done.set_exception(psycopg.errors.LockNotAvailable())
        else:
            free = [draft for draft in batch.drafts if draft.room_uid not in self.held]
            batch.done.set_result({draft.key: self._store(draft) for draft in free})
        self._settle()

    @precondition(lambda self: self.under_way)
    @rule(of_second=st.booleans(), error=st.sampled_from(_BUSY_OR_BROKEN))
    def refuse(self, of_second: bool, error: type[psycopg.Error]) -> None:
        """Let a deadlock end a batch, or what the connection survives and the committer does not know."""
        self._ended(of_second).done.set_exception(error())
        self._settle()

    @precondition(lambda self: self.under_way)
    @rule(of_second=st.booleans(), is_stored=st.sampled_from([None, False, True]))
    def break_off(self, of_second: bool, is_stored: bool | None) -> None:
        """Let the connection break, before the commit or in the midst of it."""
        batch = self._ended(of_second)
        batch.connection.closed = True
        if is_stored and not any(draft.content_hash == _POISON for draft in batch.drafts):
            for draft in batch.drafts:
                self._store(draft)
        batch.done.set_exception(psycopg.OperationalError() if is_stored is None else CommitUnknown())
        self._settle()

    def _ended(self, of_second: bool) -> _Batch:
        return self.under_way.pop(of_second if of_second in self.under_way else not of_second)

    @precondition(lambda self: self.sends)
    @rule(which=st.integers(0))
    def give_up(self, which: int) -> None:
        """Cancel a call, which cancels nothing that it has begun."""
        self.sends[-1 - which % len(self.sends)].task.cancel()
        self._settle()

    @rule(seconds=st.sampled_from([0.002, 0.2, 2.0]))
    def let_time_pass(self, seconds: float) -> None:
        self.loop.run_until_complete(self.clock.advance(seconds))

    def _settle(self) -> None:
        self.loop.run_until_complete(self.clock.advance(0))

    # What is so.

    @invariant()
    def the_log_is_told_in_its_order(self) -> None:
        assert not self.run.done()
        for room_uid in _ROOMS:
            seqs = [seq for told, seq in self.published if told == room_uid]
            assert seqs == sorted(set(seqs))

    @invariant()
    def each_answer_is_true(self) -> None:
        for send in self.sends:
            if send.task.done() and not send.task.cancelled():
                self._check_answer(send)

    def _check_answer(self, send: _Send) -> None:
        error, log = send.task.exception(), self.logs[send.draft.room_uid]
        if error is None:
            stored = log[send.task.result().entry.seq - 1]
            assert (stored.key, stored.content_hash) == (send.draft.key, send.draft.content_hash)
            return
        assert isinstance(error, ChatkitError)
        if error.reason == "REQUEST_ID_REUSED":
            assert any(
                other.draft.key == send.draft.key and other.draft.content_hash != send.draft.content_hash
                for other in self.sends
            )
        else:
            assert error.reason in {"DATABASE_UNAVAILABLE", "OUTCOME_UNKNOWN", "INTERNAL"}
            assert (error.reason == "INTERNAL") <= (send.draft.content_hash == _POISON)
            assert send.draft not in log or error.reason == "OUTCOME_UNKNOWN"

    def teardown(self) -> None:
        """Let everything go well from now on: then everybody is answered."""
        try:
            self.held.clear()
            # A batch of a lane for each, and a while for the lanes to connect again.
            for _ in range(20 + len(self.sends)):
                while self.under_way:
                    self.commit(of_second=True)
                if not self.committer._open:
                    break
                self.let_time_pass(2.0)
            self.each_answer_is_true()
            waiting = [_number(send.draft) for send in self.sends if not send.task.done()]
            assert (waiting, self.committer._open) == ([], 0)
        finally:
            tasks = [self.run, *(send.task for send in self.sends)]
            for task in tasks:
                task.cancel()
            self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            self.loop.close()
            self._undone.close()


TestLanes = _Machine.TestCase
TestLanes.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
