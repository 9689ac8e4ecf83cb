"""What lists need of the rooms service: who is a member of what, and may do what there."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from chatkit.contract.v1 import limit_pb2, method_policy_pb2
from chatkit.internal.access.v1 import access_service_pb2 as access_pb2
from chatkit.internal.access.v1.access_service_pb2_grpc import AccessServiceStub

from services.messages.read_state import ReadCursor
from services.runtime.contract import Limits
from services.runtime.errors import Unimplemented
from services.runtime.peers import Peer

# So many that a question stays far below what a request may have in bytes.
_USERS_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class RoomOfUser:
    """A room of which a user is a member."""

    room_id: str
    room_uid: UUID
    user_uid: UUID


class Rooms:
    """The rooms service, as messages needs it for lists: who is a member of what."""

    def __init__(self, peer: Peer, limits: Limits) -> None:
        self._peer = peer
        self._stub = AccessServiceStub(peer.channel)
        self._most_asked_about = limits[limit_pb2.LIMIT_USERS_PER_GET]

    async def of_user(self, user_id: str, size: int, page_token: str, seconds: float) -> tuple[list[RoomOfUser], str]:
        """Return a page of a user's rooms by their ids, and the token of the next one."""
        request = access_pb2.ListRoomsOfRequest(user_id=user_id, page_size=size, page_token=page_token)
        answer = await self._peer.call(self._stub.ListRoomsOf, request, seconds)
        rooms = [
            RoomOfUser(room.room_id, UUID(bytes=room.room_uid), UUID(bytes=room.user_uid)) for room in answer.rooms
        ]
        return rooms, answer.next_page_token

    async def of_members(
        self, room_id: str, cursors: Sequence[ReadCursor], seconds: float | None = None
    ) -> list[ReadCursor]:
        """Return those of a room's cursors whose users are members."""
        members: set[UUID] = set()
        for start in range(0, len(cursors), self._most_asked_about):
            some = [cursor.user_id for cursor in cursors[start : start + self._most_asked_about]]
            request = access_pb2.FilterMembersRequest(room_id=room_id, user_ids=some)
            try:
                answer = await self._peer.call(self._stub.FilterMembers, request, seconds)
            except Unimplemented:
                # A rooms of the release before can't tell who has left.
                return list(cursors)
            members.update(UUID(bytes=uid) for uid in answer.user_uids)
        return [cursor for cursor in cursors if cursor.user_uid in members]

    async def of_members_of_many(self, room_ids: Mapping[UUID, str], cursors: Sequence[ReadCursor]) -> list[ReadCursor]:
        """Return those of some rooms' cursors whose users are members there; every room's id is given by its uid."""
        members: set[tuple[UUID, UUID]] = set()
        for start in range(0, len(cursors), _USERS_AT_ONCE):
            try:
                members |= await self._members_among(cursors[start : start + _USERS_AT_ONCE])
            except Unimplemented:
                # A rooms of the release before: it can be asked about one room at a time.
                return [cursor for some in _by_room(cursors) for cursor in await self._of_room(room_ids, some)]
        return [cursor for cursor in cursors if (cursor.room_uid, cursor.user_uid) in members]

    async def _members_among(self, cursors: Sequence[ReadCursor]) -> set[tuple[UUID, UUID]]:
        request = access_pb2.BatchFilterMembersRequest()
        for some in _by_room(cursors):
            for start in range(0, len(some), self._most_asked_about):
                user_uids = [cursor.user_uid.bytes for cursor in some[start : start + self._most_asked_about]]
                request.rooms.add(room_uid=some[0].room_uid.bytes, user_uids=user_uids)
        answer = await self._peer.call(self._stub.BatchFilterMembers, request)
        return {(UUID(bytes=room.room_uid), UUID(bytes=uid)) for room in answer.rooms for uid in room.user_uids}

    async def _of_room(self, room_ids: Mapping[UUID, str], cursors: Sequence[ReadCursor]) -> list[ReadCursor]:
        return await self.of_members(room_ids[cursors[0].room_uid], cursors)

    async def permitted(self, user_id: str, room_ids: Sequence[str], permission: str, seconds: float) -> set[str]:
        """Return those of some rooms in which a user is a member and has a permission."""
        request = access_pb2.BatchCheckAccessRequest(
            room_ids=room_ids,
            user_id=user_id,
            membership=method_policy_pb2.MEMBERSHIP_REQUIRED,
            permission=permission,
        )
        answer = await self._peer.call(self._stub.BatchCheckAccess, request, seconds)
        pairs = zip(room_ids, answer.answers, strict=True)
        return {room_id for room_id, one in pairs if one.HasField("granted")}


def _by_room(cursors: Iterable[ReadCursor]) -> list[list[ReadCursor]]:
    by_room: dict[UUID, list[ReadCursor]] = {}
    for cursor in cursors:
        by_room.setdefault(cursor.room_uid, []).append(cursor)
    return list(by_room.values())
