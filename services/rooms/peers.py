"""What rooms asks of other services: who exists (users)."""

import json
from collections.abc import Sequence
from uuid import UUID

from chatkit.internal.directory.v1 import directory_service_pb2 as directory_pb2
from chatkit.internal.directory.v1.directory_service_pb2_grpc import DirectoryServiceStub

from services.runtime.errors import NotFound
from services.runtime.peers import Peer


class Users:
    """The users service, as rooms needs it."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._stub = DirectoryServiceStub(peer.channel)

    async def resolve(self, user_ids: Sequence[str], remaining: float) -> dict[str, UUID]:
        """Return the users' uids by id, in the order of ids; USER_NOT_FOUND names every id that does not exist."""
        wanted = sorted(set(user_ids))
        request = directory_pb2.ResolveUsersRequest(user_ids=wanted)
        answer = await self._peer.call(self._stub.ResolveUsers, request, remaining)
        found = {user.id: UUID(bytes=user.uid) for user in answer.users}
        missing = [user_id for user_id in wanted if user_id not in found]
        if missing:
            raise NotFound(
                "USER_NOT_FOUND",
                "some of the users do not exist",
                metadata={"user_ids": json.dumps(missing, ensure_ascii=False)},
            )
        return {user_id: found[user_id] for user_id in wanted}
