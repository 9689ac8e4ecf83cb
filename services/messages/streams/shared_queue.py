"""The queue of a stream whose events are of several sources, each of which decides about its own.

A source may keep back what is about to be sent, and have it sent later; that counts as what waits.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from services.runtime.clock import Clock
from services.runtime.contract.errors import ChatkitError
from services.runtime.identity.tokens import Caller
from services.runtime.streaming.event_queue import FRAME_BYTES, EventQueue

# How much of the beginnings of several sources may wait before the next one is made.
_MOST_BEGINNING_BYTES = 256 * 1024


class Source(Protocol):
    """One of several whose events share a queue."""

    def take(self, seq: int, event: bytes) -> bool:
        """Let an event go that is about to be sent; False when it must not, and then it is the source's business."""


class SharedQueue(EventQueue):
    """A queue in which each event, and its seq, is its source's or the stream's own."""

    # Each also with its source, if it has one: (seq, event, how much it counts, source). So whatever queues or takes is
    # written anew here: a hook in EventQueue would be called for every event of every stream.
    _waiting: deque[Any]

    def __init__(self, caller: Caller, clock: Clock) -> None:
        super().__init__(caller, clock)
        self._beginning_bytes = 0
        self._taken = asyncio.Event()

    def open(self, sent_seq: int, beginning: Iterable[tuple[int, bytes]]) -> None:
        """Queue how the stream itself starts, and admit what follows."""
        super().open(sent_seq, ())
        self.begin(beginning, None)

    def begin(self, beginning: Iterable[tuple[int, bytes]], source: Source | None) -> None:
        """Queue how a source starts, whatever its size: the bound is on what piles up behind it."""
        if self.error is not None:
            return
        if not self._waiting:
            self._progress_at = self._clock.monotonic()
        for seq, event in beginning:
            self._waiting.append((seq, event, 0, source))
            self._beginning_bytes += len(event)
        self._wake.set()

    async def wait_for_room(self) -> None:
        """Return when another source may begin: when not too much of the beginnings waits, or the stream ends."""
        while self._beginning_bytes > _MOST_BEGINNING_BYTES and self.error is None:
            self._taken.clear()
            await self._taken.wait()

    def push(self, seq: int, event: bytes, source: Source | None = None) -> None:
        """Queue an event of a source, or of the stream itself; `seq` is 0 for one that has none."""
        if self.error is not None or not self.is_open:
            return
        if not self._waiting:
            self._progress_at = self._clock.monotonic()
        self._waiting.append((seq, event, len(event), source))
        self._count(len(event))
        self._wake.set()

    def hold(self, size: int) -> None:
        """Count what a source keeps back."""
        self._count(size)

    def release(self, events: Sequence[tuple[int, bytes]], source: Source) -> None:
        """Queue what a source has kept back and dropped, before what it has queued since."""
        self._waiting.extendleft((seq, event, len(event), source) for seq, event in reversed(events))
        # No more than `drop` has taken away.
        self._waiting_bytes += sum(len(event) for _, event in events)
        self._wake.set()

    def drop(self, size: int) -> None:
        """Count no longer what a source has kept back: it has dropped it."""
        self._waiting_bytes -= size

    def end(self, error: ChatkitError) -> None:
        """End the stream, and let nobody wait to begin."""
        super().end(error)
        self._taken.set()

    def _drain(self) -> bytes:
        self._progress_at = self._clock.monotonic()
        taken: list[bytes] = []
        size = 0
        # A single event above the bound goes alone.
        while self._waiting and (not taken or size + len(self._waiting[0][1]) <= FRAME_BYTES):
            seq, event, counted, source = self._waiting.popleft()
            self._waiting_bytes -= counted
            self._beginning_bytes -= 0 if counted else len(event)
            if source is None or source.take(seq, event):
                taken.append(event)
                size += len(event)
        self._taken.set()
        return b"".join(taken)

    def _drop(self) -> None:
        super()._drop()
        self._beginning_bytes = 0
