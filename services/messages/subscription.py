"""One subscriber of a room: the queue of its stream, and whether it may still have what waits there.

That is looked at in the moment in which a frame is taken, not when it was queued.
"""

from services.runtime.access import AccessQuery, RoleKey, RoomGrant
from services.runtime.access_cache import Freshness
from services.runtime.clock import Clock
from services.runtime.errors import unavailable_peer
from services.runtime.event_queue import EventQueue
from services.runtime.identity import Caller


class Subscription(EventQueue):
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
        super().__init__(caller, clock)
        self.room_uid = grant.room_uid
        self.user_uid = grant.user_uid
        # What was asked when the stream was admitted, to be asked again.
        self.query = query
        # How often a change has made it doubtful that the user has access.
        self.doubts = 0
        # The roles that the last answer depended on; None before there was one.
        self._roles: tuple[RoleKey, ...] | None = None
        self._freshness = freshness
        # Since when it is doubtful; and since when it is noticed that nobody knows about changes any more. Streams have
        # delays of their own until they end by it, so that not all clients come back at once.
        self._doubted_at: float | None = None
        self._stale_at: float | None = None
        self._ending_delay = ending_delay

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

    def _may_send(self) -> bool:
        return self._doubted_at is None and self._freshness.is_fresh()
