"""What rooms asks of other services: who exists, and which users change (users)."""

import json
from collections.abc import AsyncGenerator, Sequence
from uuid import UUID

from chatkit.internal.directory.v1 import directory_service_pb2 as directory_pb2
from chatkit.internal.directory.v1.directory_service_pb2_grpc import DirectoryServiceStub
from chatkit.users.v1 import user_pb2

from services.runtime.errors import NotFound, unavailable_peer
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
            raise _not_found(missing)
        return {user_id: found[user_id] for user_id in wanted}

    async def get(self, user_id: str) -> user_pb2.User:
        """Return a user as they are, or raise USER_NOT_FOUND; a users that can't tell yet is SERVICE_UNAVAILABLE."""
        request = directory_pb2.ResolveUsersRequest(user_ids=[user_id], with_users=True)
        answer = await self._peer.call(self._stub.ResolveUsers, request)
        if not answer.users:
            raise _not_found([user_id])
        user: user_pb2.User = answer.users[0].user
        if not user.id:
            # A users of the release before.
            raise unavailable_peer(self._peer.name)
        return user

    def changes(self, after_version: int) -> AsyncGenerator[directory_pb2.WatchUsersResponse, None]:
        """Follow the changes of users after a version."""
        return self._peer.stream(self._stub.WatchUsers, directory_pb2.WatchUsersRequest(after_version=after_version))


def _not_found(missing: Sequence[str]) -> NotFound:
    return NotFound(
        "USER_NOT_FOUND",
        "some of the users do not exist",
        metadata={"user_ids": json.dumps(missing, ensure_ascii=False)},
    )
