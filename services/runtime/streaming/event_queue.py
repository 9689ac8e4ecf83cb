"""What waits for one subscriber, in bytes and bounded, and how its stream ends.

A stream's response has one repeated field, and the concatenation of serialized messages is their merge: so events are
serialized once, whoever they are for, and whatever has piled up goes in one write of up to 64 KiB.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable
from datetime import timedelta

from services.runtime.clock import Clock
from services.runtime.contract.errors import ChatkitError, ResourceExhausted
from services.runtime.identity.tokens import Caller
from services.runtime.streaming.open_streams import expired

FRAME_BYTES = 64 * 1024
_MOST_WAITING_BYTES = 1024 * 1024
_MOST_STALLED_SECONDS = 20.0
# A second write this soon after the first waits for more to pile up: one write for many events costs a fraction.
_COALESCE_SECONDS = 0.004


class EventQueue:
    """A queue of serialized events between whoever makes them and a stream."""

    def __init__(self, caller: Caller, clock: Clock) -> None:
        self.caller = caller
        # The last seq that was handed to the stream, where events have one.
        self.sent_seq = 0
        # When the stream was last given a heartbeat, by the monotonic clock.
        self.heartbeat_at = clock.monotonic()
        # False until the beginning is queued: nothing is admitted before it.
        self.is_open = False
        self.error: ChatkitError | None = None
        self._clock = clock
        # Each with its seq and with how much it counts.
        self._waiting: deque[tuple[int, bytes, int]] = deque()
        self._waiting_bytes = 0
        self._progress_at = clock.monotonic()
        self._wake = asyncio.Event()

    def open(self, sent_seq: int, beginning: Iterable[tuple[int, bytes]]) -> None:
        """Queue how the stream starts, whatever its size, and admit what follows: the bound is on what piles up."""
        self.sent_seq = sent_seq
        self.is_open = True
        if self.error is not None:
            return
        self._progress_at = self._clock.monotonic()
        self._waiting.extend((seq, event, 0) for seq, event in beginning)
        self._wake.set()

    def push(self, seq: int, event: bytes) -> None:
        """Queue an event; `seq` is 0 for one that has none. Too much of it ends the stream."""
        if self.error is not None or not self.is_open:
            return
        if not self._waiting:
            self._progress_at = self._clock.monotonic()
        self._waiting.append((seq, event, len(event)))
        self._count(len(event))
        self._wake.set()

    def check_progress(self) -> None:
        """End the stream when something has waited for long and nothing was taken, though it could have been."""
        if not self._may_send():
            self._progress_at = self._clock.monotonic()
        elif self._waiting and self._clock.monotonic() - self._progress_at > _MOST_STALLED_SECONDS:
            self._give_up()

    def end(self, error: ChatkitError) -> None:
        """End the stream: what waits is still sent, if it may be; the first ending counts."""
        if self.error is None:
            self.error = error
            self._wake.set()

    def cut(self, error: ChatkitError) -> None:
        """End the stream; what waits is not sent any more."""
        self._drop()
        self.end(error)

    def check_token(self) -> None:
        """End the stream when its token has expired; what waits is not sent any more."""
        if self.caller.expire_time <= self._clock.now():
            self.cut(expired())

    def wake(self) -> None:
        """Look again whether what waits may be sent."""
        if self._waiting:
            self._wake.set()

    def _may_send(self) -> bool:
        """Tell whether what waits may be sent now; it is asked in the moment in which a frame is taken."""
        return True

    async def frames(self) -> AsyncIterator[bytes]:
        """Yield frames of waiting events until the stream ends; then raise why."""
        written_at = -_COALESCE_SECONDS
        while True:
            if not self._waiting or not self._may_send():
                if self.error is not None:
                    raise self.error
                self._wake.clear()
                await self._wake.wait()
                continue
            if self._clock.monotonic() - written_at < _COALESCE_SECONDS and self.error is None:
                await self._clock.sleep(_COALESCE_SECONDS)
            self.check_token()
            if self._waiting and self._may_send() and (frame := self._drain()):
                yield frame
                written_at = self._clock.monotonic()

    def _drain(self) -> bytes:
        self._progress_at = self._clock.monotonic()
        taken: list[bytes] = []
        size = 0
        # A single event above the bound goes alone.
        while self._waiting and (not taken or size + len(self._waiting[0][1]) <= FRAME_BYTES):
            seq, event, counted = self._waiting.popleft()
            self._waiting_bytes -= counted
            taken.append(event)
            size += len(event)
            self.sent_seq = max(self.sent_seq, seq)
        return b"".join(taken)

    def _count(self, size: int) -> None:
        self._waiting_bytes += size
        if self._waiting_bytes > _MOST_WAITING_BYTES:
            self._overflow()

    def _overflow(self) -> None:
        """End the stream, because too much waits for it."""
        self._give_up()

    def _give_up(self) -> None:
        self.cut(
            ResourceExhausted(
                "SLOW_CONSUMER", "the subscriber does not read fast enough", retry_after=timedelta(seconds=1)
            )
        )

    def _drop(self) -> None:
        self._waiting.clear()
        self._waiting_bytes = 0
