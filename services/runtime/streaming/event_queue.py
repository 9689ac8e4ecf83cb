"""What waits for one subscriber, in bytes and bounded, and how its stream ends.

A stream's response has one repeated field, and the concatenation of serialized messages is their merge: so events are
serialized once, whoever they are for, and whatever has piled up goes in one write of up to 64 KiB.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import timedelta
from typing import Protocol

from services.runtime.clock import Clock
from services.runtime.contract.errors import ChatkitError, Internal, ResourceExhausted
from services.runtime.identity.tokens import Caller
from services.runtime.streaming.live_event import LiveEvent
from services.runtime.streaming.open_streams import expired

FRAME_BYTES = 64 * 1024
_MOST_WAITING_BYTES = 1024 * 1024
# How much of the beginnings of several sources may wait before the next one is made.
_MOST_BEGINNING_BYTES = 256 * 1024
_MOST_STALLED_SECONDS = 20.0
# A second write this soon after the first waits for more to pile up: one write for many events costs a fraction.
_COALESCE_SECONDS = 0.004


class Source(Protocol):
    """One of several whose events share a queue, such as a room of a stream of many.

    It may keep back what is about to be sent, and have it sent later; that counts as what waits.
    """

    def take(self, seq: int, event: bytes) -> bool:
        """Let an event go that is about to be sent; False when it must not, and then it is the source's business."""


def _always() -> bool:
    return True


def _never() -> bool:
    return False


class EventQueue:
    """A queue of serialized events between whoever makes them and a stream.

    `caller` is whose token ends it; None where something else looks at the token. `may_send` is asked in the moment in
    which a frame is taken. `makes_room` is called when too much waits, before the stream is ended by that; it tells
    whether it has done something about it. `on_taken` is told the bytes of each frame, and None when all that waits is
    dropped.
    """

    def __init__(
        self,
        caller: Caller | None,
        clock: Clock,
        *,
        may_send: Callable[[], bool] = _always,
        makes_room: Callable[[], bool] = _never,
        on_taken: Callable[[int | None], None] | None = None,
        most_waiting_bytes: int = _MOST_WAITING_BYTES,
    ) -> None:
        # The last seq that was handed to the stream, where its own events have one.
        self.sent_seq = 0
        # When the stream was last given a heartbeat, by the monotonic clock.
        self.heartbeat_at = clock.monotonic()
        # False until the beginning is queued: nothing is admitted before it.
        self.is_open = False
        self.error: ChatkitError | None = None
        self._is_finished = False
        self._caller = caller
        self._clock = clock
        self._may_send = may_send
        self._makes_room = makes_room
        self._on_taken = on_taken
        self._most_waiting_bytes = most_waiting_bytes
        # Each with its seq, how much it counts, its source or None for the stream, and what is told of a live one.
        self._waiting: deque[tuple[int, bytes, int, Source | None, LiveEvent | None]] = deque()
        self._waiting_bytes = 0
        self._beginning_bytes = 0
        self._progress_at = clock.monotonic()
        self._wake = asyncio.Event()
        # The oldest live event of the frame that was taken last, and those that are watched.
        self._live: list[LiveEvent] = []
        # Set whenever something was taken; None as long as nobody has waited for it.
        self._taken: asyncio.Event | None = None

    def renew(self, caller: Caller) -> None:
        """Live as long as another token of the same caller."""
        self._caller = caller

    def open(self, sent_seq: int, beginning: Iterable[tuple[int, bytes]]) -> None:
        """Queue how the stream starts, and admit what follows."""
        self.sent_seq = sent_seq
        self.is_open = True
        self.begin(beginning)

    def begin(self, beginning: Iterable[tuple[int, bytes]], source: Source | None = None) -> None:
        """Queue how the stream or a source starts, whatever its size: the bound is on what piles up behind it."""
        if self.error is not None or self._is_finished:
            return
        if not self._waiting:
            self._progress_at = self._clock.monotonic()
        for seq, event in beginning:
            self._waiting.append((seq, event, 0, source, None))
            self._beginning_bytes += len(event)
        self._wake.set()

    async def wait_for_room(self) -> None:
        """Return when another source may begin: when not too much of the beginnings waits, or the stream ends."""
        if self._taken is None:
            self._taken = asyncio.Event()
        while self._beginning_bytes > _MOST_BEGINNING_BYTES and self.error is None:
            self._taken.clear()
            await self._taken.wait()

    def push(self, seq: int, event: bytes, source: Source | None = None, live: LiveEvent | None = None) -> None:
        """Queue an event; `seq` is 0 for one that has none. Too much of it ends the stream.

        `live` is told when the event is taken, unless it is kept back before that.
        """
        if self.error is not None or not self.is_open or self._is_finished:
            return
        if not self._waiting:
            self._progress_at = self._clock.monotonic()
        self._waiting.append((seq, event, len(event), source, live))
        self._count(len(event))
        self._wake.set()

    def hold(self, size: int) -> None:
        """Count what a source keeps back."""
        self._count(size)

    def drop(self, size: int) -> None:
        """Count no longer what a source has kept back: it has dropped it."""
        self._waiting_bytes -= size

    def release(self, events: Sequence[tuple[int, bytes]], source: Source) -> None:
        """Queue what a source has kept back and dropped, before what it has queued since."""
        self._waiting.extendleft((seq, event, len(event), source, None) for seq, event in reversed(events))
        # No more than `drop` has taken away.
        self._waiting_bytes += sum(len(event) for _, event in events)
        self._wake.set()

    def check_progress(self) -> None:
        """End the stream when something has waited for long and nothing was taken, though it could have been."""
        if not self._may_send():
            self._progress_at = self._clock.monotonic()
        elif self._waiting and self._clock.monotonic() - self._progress_at > _MOST_STALLED_SECONDS:
            self._give_up()

    def check_token(self) -> None:
        """End the stream when its token has expired; what waits is not sent any more."""
        if self._caller is not None and self._caller.expire_time <= self._clock.now():
            self.cut(expired())

    def end(self, error: ChatkitError) -> None:
        """End the stream: what waits is still sent, if it may be; the first ending counts."""
        if self.error is None:
            self.error = error
            self._wake.set()
        self._let_begin()

    def finish(self) -> None:
        """End the stream well: what waits is still sent, and nothing is queued any more."""
        self._is_finished = True
        self._wake.set()

    def end_with(self, task: "asyncio.Task[None]") -> None:
        """End the stream with what a task that has ended has failed by, if it has; for `add_done_callback`."""
        if (failure := failure_of(task)) is not None:
            self.end(failure)

    def cut(self, error: ChatkitError) -> None:
        """End the stream; what waits is not sent any more."""
        self._waiting.clear()
        self._waiting_bytes = self._beginning_bytes = 0
        if self._on_taken is not None:
            self._on_taken(None)
        self.end(error)

    def wake(self) -> None:
        """Look again whether what waits may be sent."""
        if self._waiting:
            self._wake.set()

    async def frames(self) -> AsyncIterator[bytes]:
        """Yield frames of waiting events until the stream ends; then raise why, unless it was finished."""
        written_at = -_COALESCE_SECONDS
        while True:
            if not self._waiting or not self._may_send():
                if self.error is not None:
                    raise self.error
                if self._is_finished and not self._waiting:
                    return
                self._wake.clear()
                await self._wake.wait()
                continue
            if self._clock.monotonic() - written_at < _COALESCE_SECONDS and self.error is None:
                await self._clock.sleep(_COALESCE_SECONDS)
            self.check_token()
            if self._waiting and self._may_send() and (frame := self._drain()):
                yield frame
                written_at = self._clock.monotonic()
                for live in self._live:
                    live.written()

    def _drain(self) -> bytes:
        self._progress_at = self._clock.monotonic()
        taken: list[bytes] = []
        size = 0
        self._live = []
        # A single event above the bound goes alone.
        while self._waiting and (not taken or size + len(self._waiting[0][1]) <= FRAME_BYTES):
            seq, event, counted, source, live = self._waiting.popleft()
            self._waiting_bytes -= counted
            self._beginning_bytes -= 0 if counted else len(event)
            if source is None:
                self.sent_seq = max(self.sent_seq, seq)
            elif not source.take(seq, event):
                continue
            taken.append(event)
            size += len(event)
            if live is not None and (not self._live or live.is_watched):
                self._live.append(live)
        self._let_begin()
        for live in self._live:
            live.taken(self._clock.now())
        frame = b"".join(taken)
        if self._on_taken is not None:
            self._on_taken(len(frame))
        return frame

    def _count(self, size: int) -> None:
        self._waiting_bytes += size
        if self._waiting_bytes > self._most_waiting_bytes and not self._makes_room():
            self._give_up()

    def _let_begin(self) -> None:
        if self._taken is not None:
            self._taken.set()

    def _give_up(self) -> None:
        self.cut(
            ResourceExhausted(
                "SLOW_CONSUMER", "the subscriber does not read fast enough", retry_after=timedelta(seconds=1)
            )
        )


def failure_of(task: "asyncio.Task[None]") -> ChatkitError | None:
    """Return the error with which a stream ends because a task of it has failed; None if it has not."""
    if task.cancelled() or (error := task.exception()) is None:
        return None
    if isinstance(error, ChatkitError):
        return error
    internal = Internal("INTERNAL", "what the stream needs has failed")
    internal.__cause__ = error
    return internal
