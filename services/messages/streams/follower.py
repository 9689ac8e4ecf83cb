"""A room and a user who follows it, on whatever stream."""

from abc import ABC, abstractmethod

from services.runtime.access.doubts import Doubt
from services.runtime.access.port import AccessQuery, RoleKey, RoomGrant
from services.runtime.clock import Clock
from services.runtime.contract.errors import ChatkitError
from services.runtime.streaming.live_event import LiveEvent

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

    @property
    @abstractmethod
    def is_open(self) -> bool:
        """Whether its beginning is queued: it is told nothing before that."""

    @abstractmethod
    def push(self, seq: int, event: bytes, live: LiveEvent | None = None) -> None:
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

    def must_hear(self, _seq: int) -> bool:
        """Tell whether a heartbeat must say that the room's log ends at a seq; from now on that is as good as said."""
        return True

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
