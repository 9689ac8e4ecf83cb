"""What messages asks of other services: who may act (rooms), who exists (users), and what changes (rooms)."""

import json
from collections.abc import AsyncIterator
from uuid import UUID

from chatkit.internal.access.v1 import access_service_pb2 as access_pb2
from chatkit.internal.access.v1.access_service_pb2_grpc import AccessServiceStub
from chatkit.internal.directory.v1 import directory_service_pb2 as directory_pb2
from chatkit.internal.directory.v1.directory_service_pb2_grpc import (
    DirectoryServiceStub,
)

from services.runtime.access import AccessQuery, RoomGrant
from services.runtime.errors import NotFound
from services.runtime.peers import Peer


class Rooms:
    """The rooms service, as messages needs it; it answers for every call anew."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._stub = AccessServiceStub(peer.channel)

    async def check(self, query: AccessQuery) -> RoomGrant:
        """Return the grant, or raise ROOM_ACCESS_DENIED; for superusers ROOM_NOT_FOUND."""
        request = access_pb2.CheckAccessRequest(
            room_id=query.room_id,
            user_id=query.user_id or "",
            membership=query.membership,
            permission=query.permission,
            superuser=query.superuser,
        )
        answer = await self._peer.call(self._stub.CheckAccess, request)
        return RoomGrant(
            room_uid=UUID(bytes=answer.room_uid),
            user_uid=UUID(bytes=answer.user_uid) if answer.user_uid else None,
            version=answer.version,
        )

    def changes(self, after_version: int) -> AsyncIterator[access_pb2.WatchAccessResponse]:
        """Follow the changes of access."""
        return self._peer.stream(
            self._stub.WatchAccess,
            access_pb2.WatchAccessRequest(after_version=after_version),
        )


class Users:
    """The users service, as messages needs it."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._stub = DirectoryServiceStub(peer.channel)

    async def uid_of(self, user_id: str) -> UUID:
        """Return the identity of a user, or raise USER_NOT_FOUND."""
        request = directory_pb2.ResolveUsersRequest(user_ids=[user_id])
        answer = await self._peer.call(self._stub.ResolveUsers, request)
        if not answer.users:
            raise NotFound(
                "USER_NOT_FOUND",
                "the user does not exist",
                metadata={"user_ids": json.dumps([user_id], ensure_ascii=False)},
            )
        return UUID(bytes=answer.users[0].uid)
