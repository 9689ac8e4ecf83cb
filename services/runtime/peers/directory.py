"""The calls to users about who exists. Nothing is kept here."""

from collections.abc import Iterable
from uuid import UUID

from chatkit.internal.directory.v1 import directory_service_pb2 as pb2
from chatkit.internal.directory.v1.directory_service_pb2_grpc import DirectoryServiceStub

from services.runtime.contract.absent import users_not_found
from services.runtime.deadline import Deadline
from services.runtime.ids import UserUid
from services.runtime.peers.peer import Peer
from services.runtime.steps import slices


class DirectoryClient:
    """The users service, as whoever must know who exists needs it; `deadline` is as in `Peer.call`."""

    def __init__(self, users: Peer) -> None:
        self._peer = users
        self._stub = DirectoryServiceStub(users.channel)

    async def uid_of(self, user_id: str, deadline: Deadline) -> UserUid:
        """Return the identity of a user, or raise USER_NOT_FOUND."""
        return (await self.resolve([user_id], deadline))[user_id]

    async def resolve(self, user_ids: Iterable[str], deadline: Deadline) -> dict[str, UserUid]:
        """Return the users' identities in the order of ids; USER_NOT_FOUND names every id that does not exist."""
        wanted = set(user_ids)
        found = await self.find(wanted, deadline)
        if missing := sorted(wanted - found.keys()):
            raise users_not_found(missing)
        return found

    async def find(self, user_ids: Iterable[str], deadline: Deadline) -> dict[str, UserUid]:
        """Return the identities of those users who exist, in the order of ids."""
        wanted = sorted(set(user_ids))
        request = pb2.ResolveUsersRequest(user_ids=wanted)
        answer = await self._peer.call(self._stub.ResolveUsers, request, deadline)
        found = {user.id: UserUid(UUID(bytes=user.uid)) for user in answer.users}
        return {user_id: found[user_id] for user_id in wanted if user_id in found}

    async def find_many(self, user_ids: Iterable[str], at_once: int, seconds: float) -> dict[str, UserUid]:
        """Return the identities of those users who exist, so many asked for at once, each call for so long."""
        found: dict[str, UserUid] = {}
        for some in slices(sorted(set(user_ids)), at_once):
            found |= await self.find(some, Deadline.after(seconds))
        return found
