"""What the streams of users need of the users service: the users as they are, and what changes of them.

Who exists is `runtime.peers.directory`'s to ask.
"""

from collections.abc import AsyncGenerator

from chatkit.internal.directory.v1 import directory_service_pb2 as directory_pb2
from chatkit.internal.directory.v1.directory_service_pb2_grpc import DirectoryServiceStub
from chatkit.users.v1 import user_pb2

from services.runtime.contract.absent import users_not_found
from services.runtime.contract.errors import unavailable_peer
from services.runtime.peers.peer import Peer


class UsersClient:
    """The users service, as the streams of users need it."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._stub = DirectoryServiceStub(peer.channel)

    async def get(self, user_id: str) -> user_pb2.User:
        """Return a user as they are, or raise USER_NOT_FOUND; a users that can't tell yet is SERVICE_UNAVAILABLE."""
        request = directory_pb2.ResolveUsersRequest(user_ids=[user_id], with_users=True)
        answer = await self._peer.call(self._stub.ResolveUsers, request)
        if not answer.users:
            raise users_not_found([user_id])
        user: user_pb2.User = answer.users[0].user
        if not user.id:
            # A users of the release before.
            raise unavailable_peer(self._peer.name)
        return user

    def changes(self, after_version: int, epoch: str) -> AsyncGenerator[directory_pb2.WatchUsersResponse, None]:
        """Follow the changes of users after a version of an epoch; an empty one is not known."""
        request = directory_pb2.WatchUsersRequest(after_version=after_version, epoch=epoch)
        return self._peer.stream(self._stub.WatchUsers, request)
