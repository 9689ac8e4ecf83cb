"""Who may act in which room, and the feed that tells others when that changes.

Without access an unknown room and a forbidden one answer alike.
"""

from chatkit.contract.v1 import method_policy_pb2

from services.rooms.model import Standing, Visibility
from services.rooms.store import RoomStore
from services.runtime.access import AccessQuery, RoomGrant
from services.runtime.errors import NotFound, PermissionDenied


class Access:
    """Answers from the database, each time."""

    def __init__(self, store: RoomStore) -> None:
        self._store = store

    async def check(self, query: AccessQuery) -> RoomGrant:
        """Return the grant, or raise ROOM_ACCESS_DENIED; for superusers ROOM_NOT_FOUND."""
        standing = await self._store.standing(query.room_id, query.user_id or "")
        if standing.room_uid is None:
            raise room_not_found(query.room_id) if query.superuser else denied(query.room_id)
        if not (query.superuser or _may_act(standing, query.membership)):
            raise denied(query.room_id)
        return RoomGrant(standing.room_uid, standing.user_uid, standing.version)


def _may_act(standing: Standing, membership: method_policy_pb2.Membership) -> bool:
    if membership == method_policy_pb2.MEMBERSHIP_REQUIRED_UNLESS_PUBLIC and standing.visibility is Visibility.PUBLIC:
        return True
    return standing.user_uid is not None


def denied(room_id: str) -> PermissionDenied:
    """Return the error for a room that is not there or not for the caller."""
    return PermissionDenied(
        "ROOM_ACCESS_DENIED",
        "there is no such room, or it is not open to the user",
        metadata={"room_id": room_id},
    )


def room_not_found(room_id: str) -> NotFound:
    """Return the error for a room that is not there, for those who may know."""
    return NotFound("ROOM_NOT_FOUND", "the room does not exist", metadata={"room_id": room_id})
