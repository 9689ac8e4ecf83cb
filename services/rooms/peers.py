"""What the streams of users need of the users service: the users as they are, and what changes of them.

Who exists is `runtime.peers.directory`'s to ask.
"""

from collections.abc import AsyncGenerator, Collection

from chatkit.contract.v1 import limit_pb2
from chatkit.internal.directory.v1 import directory_service_pb2 as directory_pb2
from chatkit.internal.directory.v1.directory_service_pb2_grpc import DirectoryServiceStub
from chatkit.users.v1 import user_pb2

from services.runtime.contract.absent import users_not_found
from services.runtime.contract.errors import unavailable_peer
from services.runtime.contract.policies import Limits
from services.runtime.data.coalesced_reads import CoalescedReads
from services.runtime.peers.peer import Peer

# Together with what their owners may have put into them they are far from what a response may have.
_USERS_AT_ONCE = 50


class UsersClient:
    """The users service, as the streams of users need it."""

    def __init__(self, peer: Peer, limits: Limits) -> None:
        self._peer = peer
        self._stub = DirectoryServiceStub(peer.channel)
        self._users: CoalescedReads[str, dict[str, user_pb2.User]] = CoalescedReads(
            self._read, most_keys=min(_USERS_AT_ONCE, limits[limit_pb2.LIMIT_USERS_PER_GET])
        )

    async def run(self) -> None:
        """Ask for users, until cancelled."""
        await self._users.run()

    async def get(self, user_id: str) -> user_pb2.User:
        """Return a user as they are, or raise USER_NOT_FOUND; a users that can't tell yet is SERVICE_UNAVAILABLE.

        Those whom many callers want at once are asked for together.
        """
        user = (await self._users.ask([user_id])).get(user_id)
        if user is None:
            raise users_not_found([user_id])
        if not user.id:
            # A users of the release before.
            raise unavailable_peer(self._peer.name)
        return user

    async def _read(self, user_ids: Collection[str]) -> dict[str, user_pb2.User]:
        request = directory_pb2.ResolveUsersRequest(user_ids=user_ids, with_users=True)
        answer = await self._peer.call(self._stub.ResolveUsers, request)
        return {one.id: one.user for one in answer.users}

    def changes(self, after_version: int, epoch: str) -> AsyncGenerator[directory_pb2.WatchUsersResponse, None]:
        """Follow the changes of users after a version of an epoch; an empty one is not known."""
        request = directory_pb2.WatchUsersRequest(after_version=after_version, epoch=epoch)
        return self._peer.stream(self._stub.WatchUsers, request)
