"""A queue of events beside a plain list of what waits, for machines that do to both whatever may happen."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from services.runtime.contract.errors import ChatkitError, Unavailable
from services.runtime.identity.tokens import Caller
from services.runtime.ids import UserId
from services.runtime.streaming.event_queue import EventQueue
from tests.support.clock import ManualClock

MOST_WAITING_BYTES = 1024 * 1024
FRAME_BYTES = 64 * 1024
STALLED_SECONDS = 20.0
# The longest that a frame waits for more to pile up.
_COALESCED_SECONDS = 0.005
# What fits into a frame with others, alone, and not; and so much that three of them are too much.
sizes = st.sampled_from([1, 1, FRAME_BYTES - 1, FRAME_BYTES + 1, 400_000])
# Few of the steps, or streams would end before much has happened to them.
seldom = st.integers(0, 9).map(lambda number: number == 9)


@dataclass
class Waiting:
    """An event that waits, how much it counts, and which source it is of, if it is of one."""

    seq: int
    event: bytes
    counted: int
    source: int | None = None


class QueueMachine(RuleBasedStateMachine):
    """What every queue does."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = ManualClock()
        self.may_send = True
        self.expires_at = 2_000.0
        caller = Caller(UserId("bob"), False, None, self.clock.now() + timedelta(seconds=self.expires_at))
        self.taken = 0
        self.has_dropped = False
        self.queue = EventQueue(caller, self.clock, may_send=lambda: self.may_send, on_taken=self._on_taken)
        # The model.
        self.waiting: list[Waiting] = []
        self.progress_at = 0.0
        self.error = ""
        self.is_open = False
        self.is_finished = False
        self.sent_seq = 0
        self.was_cut = False
        self.frames: list[bytes] = []
        # How it has ended: by a reason, by none, or not yet.
        self.ended: str | None = None
        self._count = 0
        # What was given.
        self.read: list[bytes] = []
        self._permits = 0
        self._may_read = asyncio.Semaphore(0)
        self._reading = self.loop.create_task(self._read())

    def _on_taken(self, size: int | None) -> None:
        self.taken += size or 0
        self.has_dropped = self.has_dropped or size is None

    async def _read(self) -> str:
        frames = self.queue.frames()
        try:
            while True:
                await self._may_read.acquire()
                self.read.append(await anext(frames))
        except StopAsyncIteration:
            return ""
        except ChatkitError as ending:
            return ending.reason

    def event(self, size: int) -> tuple[int, bytes]:
        """Make an event that no other is equal to, as far as its size allows."""
        self._count += 1
        return self._count, bytes([self._count % 256]) * size

    @property
    def counted(self) -> int:
        """How much of what waits counts."""
        return sum(one.counted for one in self.waiting)

    # The model of what the queue does.

    def settle(self) -> None:
        """Let the reader take what they may, in both."""
        before = -1
        while before < len(self.read):
            before = len(self.read)
            self.loop.run_until_complete(self.clock.advance(_COALESCED_SECONDS))
        while self._permits and self.ended is None:
            if self.waiting and self.may_send:
                if self.clock.monotonic() >= self.expires_at:
                    self.cut_model("TOKEN_EXPIRED")
                    continue
                self.take_frame()
            elif self.error or (self.is_finished and not self.waiting):
                self.ended = self.error
            else:
                break

    def take_frame(self) -> None:
        """Take a frame of what waits in the model; one of nothing is none."""
        taken: list[bytes] = []
        while self.waiting and (not taken or sum(map(len, taken)) + len(self.waiting[0].event) <= FRAME_BYTES):
            one = self.waiting.pop(0)
            if self.lets_go(one):
                taken.append(one.event)
                if one.source is None:
                    self.sent_seq = max(self.sent_seq, one.seq)
        self.progress_at = self.clock.monotonic()
        if taken:
            self.frames.append(b"".join(taken))
            self._permits -= 1

    def lets_go(self, _one: Waiting) -> bool:
        """Tell whether an event that is taken is sent."""
        return True

    def cut_model(self, reason: str) -> None:
        """Cut the model's stream off."""
        self.waiting.clear()
        self.was_cut = True
        self.error = self.error or reason

    def queue_in_model(self, one: Waiting) -> None:
        """Queue an event in the model, and cut it off when that is too much."""
        if self.error or not self.is_open or self.is_finished:
            return
        if not self.waiting:
            self.progress_at = self.clock.monotonic()
        self.waiting.append(one)
        if self.counted > MOST_WAITING_BYTES:
            self.cut_model("SLOW_CONSUMER")

    # What happens to every queue.

    @initialize(waits=seldom)
    def open_at_once(self, waits: bool) -> None:
        if not waits:
            self._open([1], 0)

    @precondition(lambda self: not self.is_open)
    @rule(beginning=st.lists(sizes, max_size=4), sent_seq=st.integers(0, 3))
    def open(self, beginning: list[int], sent_seq: int) -> None:
        self._open(beginning, sent_seq)

    def _open(self, beginning: list[int], sent_seq: int) -> None:
        events = [self.event(size) for size in beginning]
        self.queue.open(sent_seq, events)
        self.is_open, self.sent_seq = True, sent_seq
        if not self.error and not self.is_finished:
            self.progress_at = self.clock.monotonic()
            self.waiting += [Waiting(seq, event, 0) for seq, event in events]
        self.settle()

    @rule(of_sizes=st.lists(sizes, min_size=1, max_size=4), has_seq=st.booleans())
    def push(self, of_sizes: list[int], has_seq: bool) -> None:
        for size in of_sizes:
            seq, event = self.event(size)
            self.queue.push(seq * has_seq, event)
            self.queue_in_model(Waiting(seq * has_seq, event, size))
        self.settle()

    @rule(frames=st.integers(1, 4))
    def let_read(self, frames: int) -> None:
        self._permits += frames
        for _ in range(frames):
            self._may_read.release()
        self.settle()

    # Multiples of nine are never near the twenty seconds, whatever the coalescing has cost.
    @rule(nines=st.integers(1, 3), is_long=seldom)
    def let_time_pass(self, nines: int, is_long: bool) -> None:
        self.loop.run_until_complete(self.clock.advance(2_700.0 if is_long else 9.0 * nines))
        self.settle()

    @rule()
    def check_progress(self) -> None:
        self.queue.check_progress()
        now = self.clock.monotonic()
        if not self.may_send:
            self.progress_at = now
        elif self.waiting and now - self.progress_at > STALLED_SECONDS:
            self.cut_model("SLOW_CONSUMER")
        self.settle()

    @rule()
    def check_token(self) -> None:
        self.queue.check_token()
        if self.clock.monotonic() >= self.expires_at:
            self.cut_model("TOKEN_EXPIRED")
        self.settle()

    @rule(happens=seldom, cuts=st.booleans())
    def end(self, happens: bool, cuts: bool) -> None:
        if not happens:
            return
        reason = "ROOM_DELETED" if cuts else "SHUTTING_DOWN"
        (self.queue.cut if cuts else self.queue.end)(Unavailable(reason, ""))
        if cuts:
            self.cut_model(reason)
        self.error = self.error or reason
        self.settle()

    @rule(happens=seldom)
    def finish(self, happens: bool) -> None:
        if happens:
            self.queue.finish()
            self.is_finished = True
            self.settle()

    @rule(may=st.booleans())
    def let_send(self, may: bool) -> None:
        self.may_send = may
        self.queue.wake()
        self.settle()

    # What is so.

    @invariant()
    def what_was_read_is_what_was_sent(self) -> None:
        assert self.read == self.frames
        assert self.queue.sent_seq == self.sent_seq
        assert (self.queue.error.reason if self.queue.error is not None else "") == self.error
        assert self._reading.done() == (self.ended is not None)
        if self._reading.done():
            assert self._reading.result() == self.ended

    @invariant()
    def whoever_made_it_is_told_what_was_taken_and_dropped(self) -> None:
        assert self.taken == sum(map(len, self.read))
        assert self.has_dropped == self.was_cut

    @invariant()
    def what_counts_is_what_waits(self) -> None:
        # Looked at from within: it takes a million bytes to be seen from without.
        assert self.error or self.queue._waiting_bytes == self.counted

    def teardown(self) -> None:
        """End the reader."""
        self._reading.cancel()
        self.loop.run_until_complete(asyncio.gather(self._reading, return_exceptions=True))
        self.loop.close()
