"""What messages asks of other services beside access: who exists (users)."""

import json
from uuid import UUID

from chatkit.internal.directory.v1 import directory_service_pb2 as directory_pb2
from chatkit.internal.directory.v1.directory_service_pb2_grpc import (
    DirectoryServiceStub,
)

from services.runtime.errors import NotFound
from services.runtime.peers import Peer


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
