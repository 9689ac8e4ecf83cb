"""The port through which the runtime asks who may act in a room; rooms answers it from its store, others by a call."""

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from chatkit.contract.v1 import method_policy_pb2


@dataclass(frozen=True, slots=True)
class AccessQuery:
    """Who wants to act in which room, and what the method asks of them."""

    room_id: str
    user_id: str | None
    superuser: bool
    membership: method_policy_pb2.Membership
    permission: str


@dataclass(frozen=True, slots=True)
class RoomGrant:
    """That the user may act: the room's uid, and the user's if they are a member."""

    room_uid: UUID
    user_uid: UUID | None
    version: int


class RoomAccess(Protocol):
    """Whoever knows the memberships."""

    async def check(self, query: AccessQuery) -> RoomGrant:
        """Return the grant, or raise ROOM_ACCESS_DENIED; for superusers ROOM_NOT_FOUND."""
