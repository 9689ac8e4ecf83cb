"""Who follows a room on a stream, and whether they may still have what waits there.

That is looked at in the moment in which a frame is taken, not when it was queued. A `Follower` is one room of a stream;
a `Subscription` is the stream of those who follow one room only.
"""

from abc import ABC, abstractmethod
from dataclasses import replace

from services.runtime.access.cache import Freshness
from services.runtime.access.doubts import Doubt
from services.runtime.access.port import AccessChecker, AccessGrant, AccessQuery, RoleKey, RoomGrant
from services.runtime.clock import Clock
from services.runtime.contract.errors import ChatkitError, unavailable_peer
from services.runtime.identity.tokens import Caller
from services.runtime.streaming.event_queue import EventQueue

READ_CURSORS = "cursors:read:get"


class Follower(ABC):
    """A user who follows a room: what rooms was asked, and whether its answer still holds."""

    __slots__ = ("_doubt", "includes_cursors", "query", "room_id", "room_uid", "user_uid")

    def __init__(
        self, grant: RoomGrant, query: AccessQuery, room_id: str, clock: Clock, *, includes_cursors: bool
    ) -> None:
        self.room_uid = grant.room_uid
        self.user_uid = grant.user_uid
        self.room_id = room_id
        # What was asked when the room was admitted, to be asked again; a stream of several rooms leaves the room out.
        self.query = query
        # Whether read cursors are sent, too.
        self.includes_cursors = includes_cursors
        self._doubt = Doubt(clock)

    @abstractmethod
    def push(self, seq: int, event: bytes) -> None:
        """Queue an event of the room; `seq` is 0 for one that is not in the log."""

    @abstractmethod
    def end(self, error: ChatkitError) -> None:
        """Follow the room no longer; the first ending counts."""

    @abstractmethod
    def cut(self, error: ChatkitError) -> None:
        """Follow the room no longer; what waits is not sent any more."""

    @abstractmethod
    def wake(self) -> None:
        """Look again whether what waits may be sent."""

    @property
    def doubts(self) -> int:
        """How often a change has made it doubtful that the user has access."""
        return self._doubt.count

    def may_depend_on(self, role: RoleKey) -> bool:
        """Tell whether the user may have access by a role."""
        return not self.query.superuser and self._doubt.may_depend_on(role)

    def doubt(self) -> None:
        """Send nothing until `trust`, because the user may have lost access."""
        self._doubt.rise()

    def trust(self, roles: tuple[RoleKey, ...], doubts: int) -> None:
        """Go on: the user has access, which depends on these roles, as of when there had been so many doubts."""
        if self._doubt.settle(roles, doubts):
            self.wake()


class Staleness:
    """Since when a stream goes without knowing of changes of access.

    Streams have delays of their own until they end by it, so that not all clients come back at once.
    """

    __slots__ = ("_clock", "_delay", "_freshness", "_noticed_at")

    def __init__(self, clock: Clock, freshness: Freshness, delay: float) -> None:
        self._clock = clock
        self._freshness = freshness
        self._delay = delay
        self._noticed_at: float | None = None

    @property
    def is_fresh(self) -> bool:
        """Whether all changes up to a moment ago are known."""
        return self._freshness.is_fresh()

    @property
    def may_send(self) -> bool:
        """Whether what waits may be sent, as far as the knowledge of changes goes."""
        return self._freshness.is_fresh() and not self._freshness.is_held

    @property
    def most_doubted_seconds(self) -> float:
        """How long a single answer may be missing."""
        return self._freshness.patience + self._delay

    def is_overdue(self) -> bool:
        """Take note of how it stands, and tell whether the stream must end by it."""
        if self._freshness.is_fresh():
            self._noticed_at = None
            return False
        # Counted from when it is noticed: a process that was stopped is given time to hear what has happened.
        now = self._clock.monotonic()
        self._noticed_at = now if self._noticed_at is None else self._noticed_at
        return now - self._noticed_at >= self._delay


class Subscription(EventQueue, Follower):
    """The stream of one room: a queue of serialized events between a hub and its reader."""

    def __init__(
        self,
        grant: RoomGrant,
        query: AccessQuery,
        caller: Caller,
        clock: Clock,
        freshness: Freshness,
        *,
        ending_delay: float,
        includes_cursors: bool = False,
    ) -> None:
        EventQueue.__init__(self, caller, clock)
        Follower.__init__(self, grant, query, query.room_id, clock, includes_cursors=includes_cursors)
        self._staleness = Staleness(clock, freshness, ending_delay)

    async def ask(self, access: AccessChecker) -> AccessGrant:
        """Ask whether the user may have all that the stream sends; raises what `check` raises."""
        grant = await access.check(self.query)
        if self.includes_cursors:
            # It depends on the same roles.
            await access.check(replace(self.query, permission=READ_CURSORS))
        return grant

    def check_access(self) -> None:
        """Cut the stream when for too long nobody could say that the user still has access."""
        is_overdue = self._staleness.is_overdue() or (
            self._staleness.is_fresh and self._doubt.has_lasted(self._staleness.most_doubted_seconds)
        )
        if self.error is None and is_overdue:
            self.cut(unavailable_peer("rooms"))

    def _may_send(self) -> bool:
        return self._doubt.is_settled and self._staleness.may_send
