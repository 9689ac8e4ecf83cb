"""What there is to do with a stream, whether it is of one room or of several."""

from collections.abc import Collection
from typing import Protocol

from services.messages.streams.follower import Follower
from services.runtime.access.port import AccessQuery, RoomsChecker
from services.runtime.ids import RoomUid
from services.runtime.streaming.event_queue import EventQueue


class Stream(Protocol):
    """A user's stream of one room or of several."""

    # What was asked when the stream was admitted; one of several rooms leaves the room out.
    query: AccessQuery
    queue: EventQueue

    @property
    def followers(self) -> Collection[Follower]:
        """Its rooms, those that are still being opened, too."""

    def beat(self, *, is_all_known: bool) -> bool:
        """Send the heartbeat that rooms share of which none tells where its log ends; tell whether it was sent.

        It depends on whether the heads of all rooms were read lately.
        """

    def joined(self, room_uid: RoomUid | None, room_id: str = "") -> None:
        """Hear that the user became a member of a room; of an unknown one when changes were missed."""

    def doubt_user(self) -> None:
        """Hear that what the user may do everywhere may be another, and that they may be a user no longer."""

    async def ask_again(self, access: RoomsChecker) -> None:
        """Ask rooms about what is in doubt, and end or trust it; raises what `check` raises but for refusals."""

    def check_access(self) -> None:
        """End what nobody could say for too long that the user still has access to."""
