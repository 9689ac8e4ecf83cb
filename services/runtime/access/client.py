"""The calls to rooms about access: who may act, and what changes. Nothing is kept here."""

from collections.abc import AsyncGenerator, Sequence
from uuid import UUID

from chatkit.contract.v1 import error_reason_pb2
from chatkit.internal.access.v1 import access_service_pb2 as pb2
from chatkit.internal.access.v1.access_service_pb2_grpc import AccessServiceStub

from services.runtime.access.port import AccessGrant, AccessQuery
from services.runtime.contract.errors import (
    ChatkitError,
    DeadlineExceeded,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    unavailable_peer,
)
from services.runtime.deadline import Deadline
from services.runtime.ids import NO_ROOM, RoomId, RoomUid, UserUid
from services.runtime.peers.peer import Peer

# Less than the deadline of any method that waits for the answer: its caller shall hear who was not there.
SECONDS = 3.0


class AccessClient:
    """The rooms service, as whoever must know who may act needs it."""

    def __init__(self, rooms: Peer, seconds: float = SECONDS) -> None:
        self._peer = rooms
        self._seconds = seconds
        self._stub = AccessServiceStub(rooms.channel)

    async def check(self, query: AccessQuery) -> AccessGrant:
        """Return the grant, or raise what rooms raised; SERVICE_UNAVAILABLE when it does not answer."""
        request = pb2.CheckAccessRequest(
            room_id=query.room_id,
            user_id=query.user_id or "",
            membership=query.membership,
            permission=query.permission,
            superuser=query.superuser,
        )
        try:
            return _grant(await self._peer.call(self._stub.CheckAccess, request, Deadline.after(self._seconds)))
        except DeadlineExceeded:
            raise unavailable_peer(self._peer.name) from None
        except InvalidArgument as error:
            if query.room_id or error.metadata.get("field") != "room_id":
                raise
            # A rooms of the release before, which asks for no permission where no room is named. It is not kept.
            return AccessGrant(version=0, room_uid=None, user_uid=None)

    async def check_rooms(self, query: AccessQuery, room_ids: Sequence[str]) -> list[AccessGrant | ChatkitError]:
        """Return what rooms answers to the query for each of the rooms; SERVICE_UNAVAILABLE when it does not answer."""
        request = pb2.BatchCheckAccessRequest(
            room_ids=room_ids,
            user_id=query.user_id or "",
            membership=query.membership,
            permission=query.permission,
            superuser=query.superuser,
        )
        try:
            answer = await self._peer.call(self._stub.BatchCheckAccess, request, Deadline.after(self._seconds))
        except DeadlineExceeded:
            raise unavailable_peer(self._peer.name) from None
        pairs = zip(room_ids, answer.answers, strict=True)
        return [_told(one, query.permission, RoomId(room_id)) for room_id, one in pairs]

    async def check_users(self, user_ids: Sequence[str], permission: str) -> list[AccessGrant | ChatkitError]:
        """Return what rooms answers for each of some users, outside of rooms.

        Raises SERVICE_UNAVAILABLE when it does not answer, and METHOD_NOT_FOUND when it is of the release before.
        """
        request = pb2.BatchCheckUsersRequest(user_ids=user_ids, permission=permission)
        try:
            answer = await self._peer.call(self._stub.BatchCheckUsers, request, Deadline.after(self._seconds))
        except DeadlineExceeded:
            raise unavailable_peer(self._peer.name) from None
        return [_told(one, permission, NO_ROOM) for one in answer.answers]

    def changes(self, after_version: int, epoch: str) -> AsyncGenerator[pb2.WatchAccessResponse, None]:
        """Follow the changes of access after a version of an epoch; an empty one is not known."""
        request = pb2.WatchAccessRequest(after_version=after_version, epoch=epoch)
        return self._peer.stream(self._stub.WatchAccess, request)


def _grant(answer: pb2.CheckAccessResponse) -> AccessGrant:
    return AccessGrant(
        version=answer.version,
        room_uid=RoomUid(UUID(bytes=answer.room_uid)) if answer.room_uid else None,
        user_uid=UserUid(UUID(bytes=answer.user_uid)) if answer.user_uid else None,
        roles=tuple((role.scope, role.name) for role in answer.roles),
        tokens_after=answer.tokens_after,
    )


def _told(answer: pb2.AccessAnswer, permission: str, room_id: RoomId) -> AccessGrant | ChatkitError:
    return _grant(answer.granted) if answer.HasField("granted") else _refusal(answer.refusal, permission, room_id)


def _refusal(reason: error_reason_pb2.ErrorReason, permission: str, room_id: RoomId) -> ChatkitError:
    match reason:
        case error_reason_pb2.ROOM_NOT_FOUND:
            return NotFound("ROOM_NOT_FOUND", "the room does not exist", metadata={"room_id": room_id})
        case error_reason_pb2.PERMISSION_MISSING:
            message = f"the user's roles do not grant {permission}"
            return PermissionDenied("PERMISSION_MISSING", message, metadata={"permission": permission})
    message = "there is no such room, or it is not open to the user"
    return PermissionDenied("ROOM_ACCESS_DENIED", message, metadata={"room_id": room_id})
