"""One subscriber of a room: what waits for it, in bytes and bounded, and how its stream ends.

Whether it still may have what waits is looked at in the moment in which a frame is taken, not when it was queued.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable
from datetime import timedelta

from services.runtime.access import AccessQuery, RoleKey, RoomGrant
from services.runtime.access_cache import Freshness
from services.runtime.clock import Clock
from services.runtime.errors import ChatkitError, ResourceExhausted, unavailable_peer
from services.runtime.identity import Caller
from services.runtime.streams import expired

FRAME_BYTES = 64 * 1024
_MOST_WAITING_BYTES = 1024 * 1024
_MOST_STALLED_SECONDS = 20.0
# A second write this soon after the first waits for more to pile up: one write for many events costs a fraction.
_COALESCE_SECONDS = 0.004


class Subscription:
    """A queue of serialized events between a hub and a stream."""

    def __init__(
        self,
        grant: RoomGrant,
        query: AccessQuery,
        caller: Caller,
        clock: Clock,
        freshness: Freshness,
        *,
        ending_delay: float,
    ) -> None:
        self.room_uid = grant.room_uid
        self.user_uid = grant.user_uid
        # What was asked when the stream was admitted, to be asked again.
        self.query = query
        self.caller = caller
        # The last seq that was handed to the stream.
        self.sent_seq = 0
        # When the stream was last given a heartbeat, by the monotonic clock.
        self.heartbeat_at = clock.monotonic()
        # False until the replay is queued: the hub gives nothing before it.
        self.is_open = False
        self.error: ChatkitError | None = None
        # How often a change has made it doubtful that the user has access.
        self.doubts = 0
        # The roles that the last answer depended on; None before there was one.
        self._roles: tuple[RoleKey, ...] | None = None
        self._clock = clock
        self._freshness = freshness
        # Since when it is doubtful; and since when it is noticed that nobody knows about changes any more. Streams have
        # delays of their own until they end by it, so that not all clients come back at once.
        self._doubted_at: float | None = None
        self._stale_at: float | None = None
        self._ending_delay = ending_delay
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._waiting_bytes = 0
        self._progress_at = clock.monotonic()
        self._wake = asyncio.Event()

    def open(self, sent_seq: int, replay: Iterable[tuple[int, bytes]]) -> None:
        """Queue how the stream starts, whatever its size, and admit what follows."""
        self.sent_seq = sent_seq
        self._waiting.extend(replay)
        # The bound is on what piles up behind the replay.
        self._waiting_bytes = 0
        self._progress_at = self._clock.monotonic()
        self.is_open = True
        self._wake.set()

    def push(self, seq: int, event: bytes) -> None:
        """Queue an event; `seq` is 0 for one that is not in the log. Too much of it ends the stream."""
        if self.error is not None or not self.is_open:
            return
        if not self._waiting:
            self._progress_at = self._clock.monotonic()
        self._waiting.append((seq, event))
        self._waiting_bytes += len(event)
        if self._waiting_bytes > _MOST_WAITING_BYTES:
            self._give_up()
        self._wake.set()

    def check_progress(self) -> None:
        """End the stream when something has waited for long and nothing was taken, though it could have been."""
        if not self._is_sure():
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

    # Access.

    def may_depend_on(self, role: RoleKey) -> bool:
        """Tell whether the user may have access by a role."""
        return not self.query.superuser and (self._roles is None or role in self._roles)

    def doubt(self) -> None:
        """Send nothing until `trust`, because the user may have lost access."""
        self.doubts += 1
        if self._doubted_at is None:
            self._doubted_at = self._clock.monotonic()

    def trust(self, roles: tuple[RoleKey, ...], doubts: int) -> None:
        """Go on: the user has access, which depends on these roles, as of when there had been so many doubts."""
        if doubts == self.doubts:
            self._roles = roles
            self._doubted_at = None
            self.wake()

    def wake(self) -> None:
        """Look again whether what waits may be sent."""
        self._wake.set()

    def check_access(self) -> None:
        """Cut the stream when for too long nobody could say that the user still has access."""
        now = self._clock.monotonic()
        if not self._freshness.is_fresh():
            # Counted from when it is noticed: a process that was stopped is given time to hear what has happened.
            self._stale_at = now if self._stale_at is None else self._stale_at
            is_overdue = now - self._stale_at >= self._ending_delay
        else:
            self._stale_at = None
            most = self._freshness.patience + self._ending_delay
            is_overdue = self._doubted_at is not None and now - self._doubted_at >= most
        if self.error is None and is_overdue:
            self.cut(unavailable_peer("rooms"))

    def _is_sure(self) -> bool:
        return self._doubted_at is None and self._freshness.is_fresh()

    async def frames(self) -> AsyncIterator[bytes]:
        """Yield frames of waiting events until the stream ends; then raise why."""
        written_at = -_COALESCE_SECONDS
        while True:
            if not self._waiting or not self._is_sure():
                if self.error is not None:
                    raise self.error
                self._wake.clear()
                await self._wake.wait()
                continue
            if self._clock.monotonic() - written_at < _COALESCE_SECONDS and self.error is None:
                await self._clock.sleep(_COALESCE_SECONDS)
            self.check_token()
            if self._waiting and self._is_sure():
                yield self._drain()
                written_at = self._clock.monotonic()

    def _drain(self) -> bytes:
        self._progress_at = self._clock.monotonic()
        taken: list[bytes] = []
        size = 0
        # A single event above the bound goes alone.
        while self._waiting and (not taken or size + len(self._waiting[0][1]) <= FRAME_BYTES):
            seq, event = self._waiting.popleft()
            taken.append(event)
            size += len(event)
            self.sent_seq = max(self.sent_seq, seq)
        self._waiting_bytes = max(0, self._waiting_bytes - size)
        return b"".join(taken)

    def _give_up(self) -> None:
        self.cut(
            ResourceExhausted(
                "SLOW_CONSUMER", "the subscriber does not read fast enough", retry_after=timedelta(seconds=1)
            )
        )

    def _drop(self) -> None:
        self._waiting.clear()
        self._waiting_bytes = 0
