"""What files asks of other services beside access: who exists (users), and which files are in use (messages)."""

import json
from collections.abc import Sequence
from uuid import UUID

from chatkit.internal.attachments.v1 import references_service_pb2 as references_pb2
from chatkit.internal.attachments.v1.references_service_pb2_grpc import ReferencesServiceStub
from chatkit.internal.directory.v1 import directory_service_pb2 as directory_pb2
from chatkit.internal.directory.v1.directory_service_pb2_grpc import DirectoryServiceStub

from services.runtime.errors import NotFound, Unimplemented, unavailable_peer
from services.runtime.peers import Peer


class Users:
    """The users service, as files needs it."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._stub = DirectoryServiceStub(peer.channel)

    async def uid_of(self, user_id: str, remaining: float) -> UUID:
        """Return the identity of a user, or raise USER_NOT_FOUND."""
        request = directory_pb2.ResolveUsersRequest(user_ids=[user_id])
        answer = await self._peer.call(self._stub.ResolveUsers, request, remaining)
        if not answer.users:
            raise NotFound(
                "USER_NOT_FOUND",
                "the user does not exist",
                metadata={"user_ids": json.dumps([user_id], ensure_ascii=False)},
            )
        return UUID(bytes=answer.users[0].uid)


class Messages:
    """The messages service, as files needs it."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._stub = ReferencesServiceStub(peer.channel)

    async def referenced(self, file_ids: Sequence[str], remaining: float | None = None) -> set[str]:
        """Return those of the files that a message refers to; SERVICE_UNAVAILABLE when messages does not say.

        A messages of a release that knows no files does not say either: nothing is ever removed on a guess.
        """
        if not file_ids:
            return set()
        request = references_pb2.ReferencedFilesRequest(file_ids=file_ids)
        try:
            answer = await self._peer.call(self._stub.ReferencedFiles, request, remaining)
        except Unimplemented:
            raise unavailable_peer(self._peer.name) from None
        return set(answer.file_ids)
