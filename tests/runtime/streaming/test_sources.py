"""The queue of several sources does as a plain list would, also with what a source keeps back for a while."""

import asyncio
from datetime import UTC, datetime

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from services.runtime.identity.tokens import Caller
from services.runtime.ids import UserId
from services.runtime.streaming.event_queue import EventQueue
from tests.runtime.streaming.queue_machine import MOST_WAITING_BYTES, QueueMachine, Waiting, sizes
from tests.support.clock import ManualClock

_CALLER = Caller(UserId("bob"), False, None, datetime(2027, 1, 1, tzinfo=UTC))
_MOST_BEGINNING_BYTES = 256 * 1024
_SOURCES = 2
every_source = st.integers(0, _SOURCES - 1)


class _Source:
    """Keeps back what is about to be sent while it is in doubt, as a room of a stream does."""

    def __init__(self, queue: EventQueue) -> None:
        self.queue = queue
        self.is_doubtful = False
        self.kept: list[tuple[int, bytes]] = []

    def take(self, seq: int, event: bytes) -> bool:
        if self.is_doubtful:
            self.kept.append((seq, event))
            self.queue.hold(len(event))
        return not self.is_doubtful

    def let_go(self) -> list[tuple[int, bytes]]:
        kept, self.kept = self.kept, []
        self.queue.drop(sum(len(event) for _, event in kept))
        return kept


async def test_what_was_kept_back_counts_as_long_as_it_waits() -> None:
    queue = EventQueue(_CALLER, ManualClock())
    source = _Source(queue)
    queue.open(0, [])
    source.is_doubtful = True
    queue.push(1, b"x" * MOST_WAITING_BYTES, source)
    assert await _has_nothing_to_send(queue)
    source.is_doubtful = False
    queue.release(source.let_go(), source)
    assert queue.error is None
    assert await anext(aiter(queue.frames())) == b"x" * MOST_WAITING_BYTES
    queue.push(2, b"x" * MOST_WAITING_BYTES, source)
    assert queue.error is None
    queue.push(3, b"x", source)
    assert queue.error is not None


async def test_what_was_kept_back_goes_in_its_order_before_what_was_queued_since() -> None:
    queue = EventQueue(_CALLER, ManualClock())
    source = _Source(queue)
    queue.open(0, [])
    source.is_doubtful = True
    queue.push(1, b"a", source)
    queue.push(2, b"b", source)
    assert await _has_nothing_to_send(queue)
    queue.push(3, b"c", source)
    source.is_doubtful = False
    queue.release(source.let_go(), source)
    assert await anext(aiter(queue.frames())) == b"abc"


async def test_too_much_does_not_end_the_stream_when_somebody_makes_room_for_it() -> None:
    queue = EventQueue(_CALLER, ManualClock(), makes_room=lambda: source.is_doubtful and bool(source.let_go()))
    source = _Source(queue)
    queue.open(0, [])
    source.is_doubtful = True
    queue.push(1, b"x" * MOST_WAITING_BYTES, source)
    assert await _has_nothing_to_send(queue)
    queue.push(0, b"y")
    assert (queue.error, source.kept) == (None, [])
    queue.push(0, b"z" * MOST_WAITING_BYTES)
    assert queue.error is not None


async def _has_nothing_to_send(queue: EventQueue) -> bool:
    taking = asyncio.ensure_future(anext(aiter(queue.frames())))
    await ManualClock().advance(0)
    return not taking.done() and taking.cancel()


class _Machine(QueueMachine):
    """A stream with two sources, of which each keeps back, lets go, and drops."""

    def __init__(self) -> None:
        super().__init__()
        self.sources = [_Source(self.queue) for _ in range(_SOURCES)]
        # What is kept back, as the model has it.
        self.kept: list[list[Waiting]] = [[] for _ in range(_SOURCES)]
        self.room = self.loop.create_task(self.queue.wait_for_room())
        self.settle()

    @property
    def has_room(self) -> bool:
        """Whether another source may begin."""
        beginnings = sum(len(one.event) for one in self.waiting if not one.counted)
        return beginnings <= _MOST_BEGINNING_BYTES or bool(self.error)

    @property
    def counted(self) -> int:
        return super().counted + sum(len(one.event) for kept in self.kept for one in kept)

    def lets_go(self, one: Waiting) -> bool:
        if one.source is None or not self.sources[one.source].is_doubtful:
            return True
        self.kept[one.source].append(one)
        if self.counted > MOST_WAITING_BYTES:
            self.cut_model("SLOW_CONSUMER")
        return False

    @rule(source=every_source, of_sizes=st.lists(sizes, min_size=1, max_size=3))
    def begin(self, source: int, of_sizes: list[int]) -> None:
        events = [self.event(size) for size in of_sizes]
        self.queue.begin(events, self.sources[source])
        if not self.error and not self.is_finished:
            if not self.waiting:
                self.progress_at = self.clock.monotonic()
            self.waiting += [Waiting(seq, event, 0, source) for seq, event in events]
        self.settle()

    @rule(source=every_source, of_sizes=st.lists(sizes, min_size=1, max_size=3))
    def push_of_source(self, source: int, of_sizes: list[int]) -> None:
        for size in of_sizes:
            seq, event = self.event(size)
            self.queue.push(seq, event, self.sources[source])
            self.queue_in_model(Waiting(seq, event, size, source))
        self.settle()

    @rule(source=every_source)
    def doubt(self, source: int) -> None:
        self.sources[source].is_doubtful = True

    @precondition(lambda self: not self.error)
    @rule(source=every_source)
    def trust(self, source: int) -> None:
        """Let what was kept back go, before what was queued since."""
        self.sources[source].is_doubtful = False
        self.queue.release(self.sources[source].let_go(), self.sources[source])
        released, self.kept[source] = self.kept[source], []
        self.waiting[:0] = [Waiting(one.seq, one.event, len(one.event), source) for one in released]
        self.settle()

    @precondition(lambda self: not self.error)
    @rule(source=every_source)
    def drop(self, source: int) -> None:
        """Forget what was kept back."""
        self.sources[source].let_go()
        self.kept[source] = []

    @rule()
    def wait_for_room(self) -> None:
        if self.room.done():
            self.room = self.loop.create_task(self.queue.wait_for_room())
            self.settle()
            assert self.room.done() == self.has_room

    @invariant()
    def another_may_begin_when_not_too_much_of_the_beginnings_waits(self) -> None:
        assert self.room.done() or not self.has_room

    @invariant()
    def what_is_kept_back_is_known(self) -> None:
        for source, kept in zip(self.sources, self.kept, strict=True):
            assert source.kept == [(one.seq, one.event) for one in kept]

    def teardown(self) -> None:
        self.room.cancel()
        super().teardown()


TestSources = _Machine.TestCase
TestSources.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
