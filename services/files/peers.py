"""What files asks of messages: which files are in use."""

from collections.abc import Sequence

from chatkit.internal.attachments.v1 import references_service_pb2 as references_pb2
from chatkit.internal.attachments.v1.references_service_pb2_grpc import ReferencesServiceStub

from services.runtime.contract.errors import Unimplemented, unavailable_peer
from services.runtime.deadline import NEVER, Deadline
from services.runtime.peers.peer import Peer


class MessagesClient:
    """The messages service, as files needs it."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._stub = ReferencesServiceStub(peer.channel)

    async def referenced(self, file_ids: Sequence[str], deadline: Deadline = NEVER) -> set[str]:
        """Return those of the files that a message refers to; SERVICE_UNAVAILABLE when messages does not say.

        A messages of a release that knows no files does not say either: nothing is ever removed on a guess.
        """
        if not file_ids:
            return set()
        request = references_pb2.ReferencedFilesRequest(file_ids=file_ids)
        try:
            answer = await self._peer.call(self._stub.ReferencedFiles, request, deadline)
        except Unimplemented:
            raise unavailable_peer(self._peer.name) from None
        return set(answer.file_ids)
