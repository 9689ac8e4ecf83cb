"""The calls to services that have something of what is being deleted, or exported."""

from contextlib import aclosing

from chatkit.internal.erasure.v1 import erasure_service_pb2 as pb2
from chatkit.internal.erasure.v1.erasure_service_pb2_grpc import ErasureServiceStub

from services.runtime.contract.errors import DeadlineExceeded, InvalidArgument, Unimplemented, unavailable_peer
from services.runtime.deadline import Deadline
from services.runtime.erasure.exporting import Records
from services.runtime.erasure.model import Deletion, ErasedUser
from services.runtime.peers.peer import Peer


class ErasureClient:
    """One service, as whoever runs a deletion or an export needs it."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._stub = ErasureServiceStub(peer.channel)

    async def erase_room(self, deletion: Deletion, deadline: Deadline) -> bool:
        """Have the service remove some of what it has of a room; False when there is more.

        Raises SERVICE_UNAVAILABLE, also for a service of a release that can't erase yet: it is waited for.
        """
        return await self._erase(pb2.EraseRequest(room_uid=deletion.subject_uid.bytes), deadline)

    async def erase_user(self, deletion: Deletion, deadline: Deadline) -> bool:
        """Have the service remove some of what it has of a user, as of a room, or make their messages nobody's."""
        user = pb2.ErasedUser(uid=deletion.subject_uid.bytes, id=deletion.subject_id)
        if deletion.pseudonyms is None:
            return await self._erase(pb2.EraseRequest(user=user), deadline)
        anonymized = pb2.AnonymizedUser(user=user, pseudonym_key=deletion.pseudonyms.secret)
        return await self._erase(pb2.EraseRequest(anonymized_user=anonymized), deadline)

    async def export_user(self, user: ErasedUser) -> Records:
        """Yield everything that the service has of a user, as fast as it is taken.

        Raises SERVICE_UNAVAILABLE, also for a service of a release that can't export yet, and what the service raises.
        """
        request = pb2.ExportRequest(user=pb2.ErasedUser(uid=user.uid.bytes, id=user.id))
        try:
            async with aclosing(self._peer.stream(self._stub.Export, request)) as answers:
                async for answer in answers:
                    for one in answer.records:
                        yield one
        except Unimplemented:
            raise unavailable_peer(self._peer.name) from None

    async def _erase(self, request: pb2.EraseRequest, deadline: Deadline) -> bool:
        try:
            answer: pb2.EraseResponse = await self._peer.call(self._stub.Erase, request, deadline)
        except (DeadlineExceeded, InvalidArgument, Unimplemented):
            raise unavailable_peer(self._peer.name) from None
        return answer.is_done
