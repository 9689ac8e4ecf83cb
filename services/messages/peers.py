"""What messages asks of others beside access and who exists: how long messages are kept (rooms), and files."""

from collections.abc import Iterable, Sequence
from typing import cast
from uuid import UUID

from chatkit.internal.attachments.v1 import attachments_service_pb2 as attachments_pb2
from chatkit.internal.attachments.v1.attachments_service_pb2_grpc import AttachmentsServiceStub
from chatkit.internal.retention.v1 import retention_service_pb2 as retention_pb2
from chatkit.internal.retention.v1.retention_service_pb2_grpc import RetentionServiceStub
from chatkit.messages.v1 import attached_file_pb2
from google.protobuf.descriptor import FieldDescriptor

from services.runtime.contract import Limits, field_policy
from services.runtime.errors import Unimplemented, unavailable_peer
from services.runtime.peers import Peer


class RoomRetention:
    """The rooms service, as far as it says how long messages are kept; `most` rooms may be asked about at once."""

    def __init__(self, peer: Peer, limits: Limits) -> None:
        asked = retention_pb2.BatchGetRetentionRequest.DESCRIPTOR.fields_by_name["room_uids"]
        self.most = limits[field_policy(cast("FieldDescriptor", asked)).max_items]
        self._peer = peer
        self._stub = RetentionServiceStub(peer.channel)

    async def of(self, room_uids: Iterable[UUID]) -> dict[UUID, int | None]:
        """Return the days of those rooms that exist; None is the deployment's retention."""
        request = retention_pb2.BatchGetRetentionRequest(room_uids=[uid.bytes for uid in room_uids])
        answer = await self._peer.call(self._stub.BatchGetRetention, request)
        return {UUID(bytes=room.room_uid): room.days if room.HasField("days") else None for room in answer.rooms}


class Files:
    """The files service, as messages needs it."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._stub = AttachmentsServiceStub(peer.channel)

    async def attach(
        self, file_ids: Sequence[str], room_uid: UUID, owner_uid: UUID, remaining: float
    ) -> dict[str, attached_file_pb2.AttachedFile]:
        """Attach files to a message that is about to be stored, all or none; return what they are, by id."""
        request = attachments_pb2.AttachFilesRequest(
            room_uid=str(room_uid), owner_uid=str(owner_uid), file_ids=file_ids
        )
        try:
            answer = await self._peer.call(self._stub.AttachFiles, request, remaining)
        except Unimplemented:
            # A files of a release that had none yet.
            raise unavailable_peer(self._peer.name) from None
        return {file.id: file for file in answer.files}

    async def ready(self, file_ids: Sequence[str]) -> set[str]:
        """Return those of the files that are there with their content."""
        request = attachments_pb2.FindFilesRequest(file_ids=file_ids)
        answer = await self._peer.call(self._stub.FindFiles, request)
        return set(answer.file_ids)
