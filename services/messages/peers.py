"""What messages asks of other services.

Of rooms: who is a member of what, what rooms are, and how long messages are kept. Of users: what they are called. Of
files: what is attached. Who may act, and who exists, is the runtime's to ask.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar, cast
from uuid import UUID

from chatkit.contract.v1 import limit_pb2, method_policy_pb2
from chatkit.internal.access.v1 import access_service_pb2 as access_pb2
from chatkit.internal.access.v1.access_service_pb2_grpc import AccessServiceStub
from chatkit.internal.attachments.v1 import attachments_service_pb2 as attachments_pb2
from chatkit.internal.attachments.v1.attachments_service_pb2_grpc import AttachmentsServiceStub
from chatkit.internal.descriptions.v1 import descriptions_service_pb2 as descriptions_pb2
from chatkit.internal.descriptions.v1.descriptions_service_pb2_grpc import DescriptionsServiceStub
from chatkit.internal.directory.v1 import directory_service_pb2 as directory_pb2
from chatkit.internal.directory.v1.directory_service_pb2_grpc import DirectoryServiceStub
from chatkit.internal.retention.v1 import retention_service_pb2 as retention_pb2
from chatkit.internal.retention.v1.retention_service_pb2_grpc import RetentionServiceStub
from chatkit.messages.v1 import attached_file_pb2, room_summary_pb2
from chatkit.rooms.v1 import room_pb2
from google.protobuf.descriptor import FieldDescriptor

from services.runtime.contract.errors import Unimplemented, unavailable_peer
from services.runtime.contract.policies import Limits, field_policy
from services.runtime.deadline import NEVER, Deadline
from services.runtime.ids import RoomId, RoomUid, UserId, UserUid
from services.runtime.peers.peer import Peer
from services.runtime.steps import slices

# So many of a user's rooms are listed at once.
_ROOMS_AT_ONCE = 500
# So many that a question stays far below what a request may have in bytes.
_USERS_AT_ONCE = 10_000


class OfMember(Protocol):
    """Something that a user has in a room, for as long as they are a member."""

    @property
    def room_uid(self) -> RoomUid:
        """The room."""

    @property
    def user_uid(self) -> UserUid:
        """The user."""

    @property
    def user_id(self) -> str:
        """The user's id."""


_OfMember = TypeVar("_OfMember", bound=OfMember)


@dataclass(frozen=True, slots=True)
class RoomOfUser:
    """A room of which a user is a member."""

    room_id: RoomId
    room_uid: RoomUid
    user_uid: UserUid


@dataclass(frozen=True, slots=True)
class RoomDescription:
    """A room as clients see it, and the ids of its members where they are few."""

    room: room_pb2.Room
    member_ids: Sequence[str]

    def others(self, user_id: UserId) -> list[str]:
        """Return whom a user meets there: the other members, or the other user of a direct room, who may have left."""
        return [other for other in self.room.direct_user_ids or self.member_ids if other != user_id]


class RoomsClient:
    """The rooms service, as messages needs it for lists: who is a member of what, and what it is."""

    def __init__(self, peer: Peer, limits: Limits) -> None:
        self._peer = peer
        self._stub = AccessServiceStub(peer.channel)
        self._descriptions = DescriptionsServiceStub(peer.channel)
        self._most_asked_about = limits[limit_pb2.LIMIT_USERS_PER_GET]

    async def of_user(
        self, user_id: UserId, size: int, page_token: str, deadline: Deadline, permission: str = ""
    ) -> tuple[list[RoomOfUser], str]:
        """Return a page of a user's rooms by their ids, and the token of the next one.

        With a permission only those in which a role of theirs grants it.
        """
        request = access_pb2.ListRoomsOfRequest(
            user_id=user_id, permission=permission, page_size=size, page_token=page_token
        )
        answer = await self._peer.call(self._stub.ListRoomsOf, request, deadline)
        rooms = [
            RoomOfUser(RoomId(room.room_id), RoomUid(UUID(bytes=room.room_uid)), UserUid(UUID(bytes=room.user_uid)))
            for room in answer.rooms
        ]
        return rooms, answer.next_page_token

    async def all_of_user(
        self, user_id: UserId, deadline: Deadline, permission: str = ""
    ) -> AsyncIterator[list[RoomOfUser]]:
        """Yield all of a user's rooms by their ids, many at a time."""
        token = ""
        while True:
            rooms, token = await self.of_user(user_id, _ROOMS_AT_ONCE, token, deadline, permission)
            yield rooms
            if not token:
                return

    async def describe(
        self, user_id: UserId, room_uids: Sequence[RoomUid], most_members: int, deadline: Deadline
    ) -> tuple[dict[RoomUid, RoomDescription], int]:
        """Return what those of some rooms are that a user is in, and for how many of them that is told.

        Raises SERVICE_UNAVAILABLE, also where rooms is of the release before.
        """
        request = descriptions_pb2.BatchDescribeRoomsRequest(
            room_uids=[uid.bytes for uid in room_uids], user_id=user_id, most_members=most_members
        )
        try:
            answer = await self._peer.call(self._descriptions.BatchDescribeRooms, request, deadline)
        except Unimplemented:
            raise unavailable_peer(self._peer.name) from None
        described = {
            RoomUid(UUID(bytes=one.room_uid)): RoomDescription(one.room, one.member_ids) for one in answer.rooms
        }
        return described, answer.answered_count

    async def of_members(
        self, room_id: str, cursors: Sequence[_OfMember], deadline: Deadline = NEVER
    ) -> list[_OfMember]:
        """Return those of a room's cursors whose users are members."""
        members: set[UserUid] = set()
        for start in range(0, len(cursors), self._most_asked_about):
            some = [cursor.user_id for cursor in cursors[start : start + self._most_asked_about]]
            request = access_pb2.FilterMembersRequest(room_id=room_id, user_ids=some)
            try:
                answer = await self._peer.call(self._stub.FilterMembers, request, deadline)
            except Unimplemented:
                # A rooms of the release before can't tell who has left.
                return list(cursors)
            members.update(UserUid(UUID(bytes=uid)) for uid in answer.user_uids)
        return [cursor for cursor in cursors if cursor.user_uid in members]

    async def of_members_of_many(
        self, room_ids: Mapping[RoomUid, str], cursors: Sequence[_OfMember]
    ) -> list[_OfMember]:
        """Return those of some rooms' cursors whose users are members there; every room's id is given by its uid."""
        members: set[tuple[RoomUid, UserUid]] = set()
        for start in range(0, len(cursors), _USERS_AT_ONCE):
            try:
                members |= await self._members_among(cursors[start : start + _USERS_AT_ONCE])
            except Unimplemented:
                # A rooms of the release before: it can be asked about one room at a time.
                return [cursor for some in _by_room(cursors) for cursor in await self._of_room(room_ids, some)]
        return [cursor for cursor in cursors if (cursor.room_uid, cursor.user_uid) in members]

    async def _members_among(self, cursors: Sequence[_OfMember]) -> set[tuple[RoomUid, UserUid]]:
        request = access_pb2.BatchFilterMembersRequest()
        for some in _by_room(cursors):
            for start in range(0, len(some), self._most_asked_about):
                user_uids = [cursor.user_uid.bytes for cursor in some[start : start + self._most_asked_about]]
                request.rooms.add(room_uid=some[0].room_uid.bytes, user_uids=user_uids)
        answer = await self._peer.call(self._stub.BatchFilterMembers, request)
        return {
            (RoomUid(UUID(bytes=room.room_uid)), UserUid(UUID(bytes=uid)))
            for room in answer.rooms
            for uid in room.user_uids
        }

    async def _of_room(self, room_ids: Mapping[RoomUid, str], cursors: Sequence[_OfMember]) -> list[_OfMember]:
        return await self.of_members(room_ids[cursors[0].room_uid], cursors)

    async def permitted(
        self, user_id: UserId, room_ids: Sequence[str], permission: str, deadline: Deadline
    ) -> set[str]:
        """Return those of some rooms in which a user is a member and has a permission."""
        request = access_pb2.BatchCheckAccessRequest(
            room_ids=room_ids,
            user_id=user_id,
            membership=method_policy_pb2.MEMBERSHIP_REQUIRED,
            permission=permission,
        )
        answer = await self._peer.call(self._stub.BatchCheckAccess, request, deadline)
        pairs = zip(room_ids, answer.answers, strict=True)
        return {room_id for room_id, one in pairs if one.HasField("granted")}


class RetentionClient:
    """The rooms service, as far as it says how long messages are kept; `most` rooms may be asked about at once."""

    def __init__(self, peer: Peer, limits: Limits) -> None:
        asked = retention_pb2.BatchGetRetentionRequest.DESCRIPTOR.fields_by_name["room_uids"]
        self.most = limits[field_policy(cast("FieldDescriptor", asked)).max_items]
        self._peer = peer
        self._stub = RetentionServiceStub(peer.channel)

    async def of(self, room_uids: Iterable[RoomUid]) -> dict[RoomUid, int | None]:
        """Return the days of those rooms that exist; None is the deployment's retention."""
        request = retention_pb2.BatchGetRetentionRequest(room_uids=[uid.bytes for uid in room_uids])
        answer = await self._peer.call(self._stub.BatchGetRetention, request)
        return {
            RoomUid(UUID(bytes=room.room_uid)): room.days if room.HasField("days") else None for room in answer.rooms
        }


class UsersClient:
    """The users service, as messages shows who others are."""

    def __init__(self, peer: Peer, limits: Limits) -> None:
        self._peer = peer
        self._stub = DirectoryServiceStub(peer.channel)
        self._most = limits[limit_pb2.LIMIT_USERS_PER_GET]

    async def members(self, user_ids: Iterable[str], deadline: Deadline) -> dict[str, room_summary_pb2.RoomMember]:
        """Return those of some users who exist, by id; a users of the release before tells no names."""
        found: dict[str, room_summary_pb2.RoomMember] = {}
        for some in slices(sorted(set(user_ids)), self._most):
            request = directory_pb2.ResolveUsersRequest(user_ids=some, with_names=True)
            answer = await self._peer.call(self._stub.ResolveUsers, request, deadline)
            found |= {
                user.id: room_summary_pb2.RoomMember(user_id=user.id, name=user.name, avatar_url=user.avatar_url)
                for user in answer.users
            }
        return found


class FilesClient:
    """The files service, as messages needs it."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._stub = AttachmentsServiceStub(peer.channel)

    async def attach(
        self, file_ids: Sequence[str], room_uid: RoomUid, owner_uid: UserUid, deadline: Deadline
    ) -> dict[str, attached_file_pb2.AttachedFile]:
        """Attach files to a message that is about to be stored, all or none; return what they are, by id.

        Raises what files raises, and SERVICE_UNAVAILABLE.
        """
        request = attachments_pb2.AttachFilesRequest(
            room_uid=str(room_uid), owner_uid=str(owner_uid), file_ids=file_ids
        )
        try:
            answer = await self._peer.call(self._stub.AttachFiles, request, deadline)
        except Unimplemented:
            # A files of a release that had none yet.
            raise unavailable_peer(self._peer.name) from None
        return {file.id: file for file in answer.files}

    async def ready(self, file_ids: Sequence[str]) -> set[str]:
        """Return those of the files that are there with their content."""
        request = attachments_pb2.FindFilesRequest(file_ids=file_ids)
        answer = await self._peer.call(self._stub.FindFiles, request)
        return set(answer.file_ids)


def _by_room(cursors: Iterable[_OfMember]) -> list[list[_OfMember]]:
    by_room: dict[RoomUid, list[_OfMember]] = {}
    for cursor in cursors:
        by_room.setdefault(cursor.room_uid, []).append(cursor)
    return list(by_room.values())
