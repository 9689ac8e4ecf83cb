"""Protos to the domain and back, and nothing else."""

import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from chatkit.files.v1 import file_pb2
from chatkit.files.v1 import files_service_pb2 as pb2
from chatkit.internal.attachments.v1 import attachments_service_pb2 as attachments_pb2

from services.files import protos
from services.files.content.uploads import Uploads
from services.files.model import Draft, File, FileId, FileUid, PageStart, invented_name
from services.files.service import Files
from services.runtime.calls.call import Call
from services.runtime.calls.paging import PageTokens, page_size
from services.runtime.contract import json_values
from services.runtime.contract.errors import invalid_field
from services.runtime.contract.policies import Limits
from services.runtime.contract.timestamps import timestamp
from services.runtime.ids import RoomId, RoomUid, UserUid
from services.runtime.peers.directory import DirectoryClient
from services.runtime.steps import Pace

# No frame of a stream is larger than 64 KiB; this leaves room for what is around the bytes.
_FRAME_BYTES = 64 * 1024 - 64
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class FilesServicer:
    """chatkit.files.v1.FilesService."""

    SERVICE = pb2.DESCRIPTOR.services_by_name["FilesService"]

    def __init__(
        self,
        files: Files,
        uploads: Uploads,
        users: DirectoryClient,
        page_tokens: PageTokens,
        limits: Limits,
        new_uid: Callable[[], UUID],
    ) -> None:
        self._files = files
        self._uploads = uploads
        self._users = users
        self._page_tokens = page_tokens
        self._limits = limits
        self._new_uid = new_uid

    async def CreateFile(self, request: pb2.CreateFileRequest, call: Call) -> pb2.CreateFileResponse:
        """Create a file."""
        owner_uid = call.room.user_uid or await self._users.uid_of(call.acting_user, call.deadline)
        custom_data = json_values.plain_value(request.custom_data) if request.HasField("custom_data") else None
        draft = Draft(
            uid=FileUid(self._new_uid()),
            room_uid=call.room.room_uid,
            room_id=RoomId(request.room_id),
            owner_uid=owner_uid,
            owner_id=call.acting_user,
            name=request.name or invented_name(request.content_type),
            content_type=request.content_type,
            size_bytes=request.size_bytes,
            sha256=bytes.fromhex(request.sha256) if request.sha256 else None,
            custom_data=json_values.compact(custom_data) if request.HasField("custom_data") else None,
            request_id=request.request_id,
            content_hashes=_content_hashes(request, call.room.room_uid),
        )
        file = await self._files.create(draft)
        upload = await self._files.upload_url(file)
        return pb2.CreateFileResponse(
            file=await self._message(file),
            upload_url=upload.url,
            upload_expire_time=timestamp(upload.expire_time),
        )

    async def UploadFile(
        self, first: pb2.UploadFileRequest, requests: AsyncIterator[pb2.UploadFileRequest], call: Call
    ) -> pb2.UploadFileResponse:
        """Take a file's content."""
        file = await self._files.own(
            call.room.room_uid, FileId(first.file_id), call.acting_user, call.deadline, superuser=call.caller.superuser
        )
        ready = await self._uploads.take(file, _chunks(first, requests))
        return pb2.UploadFileResponse(file=await self._message(ready))

    async def GetFile(self, request: pb2.GetFileRequest, call: Call) -> pb2.GetFileResponse:
        """Read a file's description."""
        file = await self._get(FileId(request.file_id), call)
        url = await self._files.download_url(file, attachment=request.attachment)
        return pb2.GetFileResponse(file=protos.file_message(file, url))

    async def BatchGetFiles(self, request: pb2.BatchGetFilesRequest, call: Call) -> pb2.BatchGetFilesResponse:
        """Read the descriptions of several files."""
        if call.query is None:
            raise RuntimeError("the method's policy asks for no membership")
        found = await self._files.get_all(request.file_ids, call.query, call.deadline)
        return pb2.BatchGetFilesResponse(files=await self._messages(found))

    async def DownloadFile(self, request: pb2.DownloadFileRequest, call: Call) -> AsyncIterator[bytes]:
        """Send a file's content."""
        file = await self._get(FileId(request.file_id), call)
        if request.offset_bytes > file.size_bytes:
            raise invalid_field("FIELD_INVALID", "offset_bytes", f"the content has {file.size_bytes} bytes")
        async for piece in self._files.content(file, request.offset_bytes, file.size_bytes):
            for start in range(0, len(piece), _FRAME_BYTES):
                frame = pb2.DownloadFileResponse(chunks=[piece[start : start + _FRAME_BYTES]])
                yield frame.SerializeToString()

    async def ListFiles(self, request: pb2.ListFilesRequest, call: Call) -> pb2.ListFilesResponse:
        """Read a page of a room's files."""
        size = page_size(request, self._limits)
        key = self._page_tokens.read(call.caller, request)
        start = PageStart(_EPOCH + int(key[0]) * _MICROSECOND, FileUid(UUID(str(key[1])))) if key else None
        own = None if call.caller.superuser else call.room.user_uid
        found, after = await self._files.page(call.room.room_uid, own, start, size, call.deadline)
        response = pb2.ListFilesResponse(files=await self._messages(found))
        if after is not None:
            place: list[str | int] = [(after.create_time - _EPOCH) // _MICROSECOND, str(after.uid)]
            response.next_page_token = self._page_tokens.make(call.caller, request, place)
        return response

    async def DeleteFile(self, request: pb2.DeleteFileRequest, call: Call) -> pb2.DeleteFileResponse:
        """Delete a file."""
        file = await self._files.own(
            call.room.room_uid,
            FileId(request.file_id),
            call.acting_user,
            call.deadline,
            superuser=call.caller.superuser,
        )
        await self._files.delete(file, call.deadline)
        return pb2.DeleteFileResponse()

    async def _get(self, file_id: FileId, call: Call) -> File:
        superuser = call.caller.superuser
        return await self._files.get(call.room.room_uid, file_id, call.user_id, call.deadline, superuser=superuser)

    async def _messages(self, files: Sequence[File]) -> list[file_pb2.File]:
        """Describe files, and let others go on meanwhile: the custom data of one takes as long as it is large."""
        described, pace = [], Pace()
        for file in files:
            described.append(await self._message(file))
            await pace.did(1 + len(file.custom_data or ""))
        return described

    async def _message(self, file: File) -> file_pb2.File:
        return protos.file_message(file, await self._files.download_url(file))


class AttachmentsServicer:
    """chatkit.internal.attachments.v1.AttachmentsService."""

    SERVICE = attachments_pb2.DESCRIPTOR.services_by_name["AttachmentsService"]

    def __init__(self, files: Files) -> None:
        self._files = files

    async def AttachFiles(
        self, request: attachments_pb2.AttachFilesRequest, call: Call
    ) -> attachments_pb2.AttachFilesResponse:
        """Let a message refer to files."""
        room_uid = RoomUid(_uid(request.room_uid, "room_uid"))
        owner_uid = UserUid(_uid(request.owner_uid, "owner_uid"))
        attached = await self._files.attach(room_uid, owner_uid, list(dict.fromkeys(request.file_ids)), call.deadline)
        return attachments_pb2.AttachFilesResponse(files=[protos.attached_file(file) for file in attached])

    async def FindFiles(
        self, request: attachments_pb2.FindFilesRequest, _call: Call
    ) -> attachments_pb2.FindFilesResponse:
        """Tell which files are there."""
        return attachments_pb2.FindFilesResponse(file_ids=await self._files.ready(request.file_ids))


async def _chunks(first: pb2.UploadFileRequest, requests: AsyncIterator[pb2.UploadFileRequest]) -> AsyncIterator[bytes]:
    async for request in requests:
        # Frames without content would cost us work and bring the end no nearer.
        if not request.chunk and request is not first:
            raise invalid_field("FIELD_REQUIRED", "chunk", "every frame but the first must bring something")
        yield request.chunk


def _content_hashes(request: pb2.CreateFileRequest, room_uid: RoomUid) -> Sequence[bytes]:
    """Return the hash of what is asked for, and the one that the release before made of it as it was spelled."""
    content = pb2.CreateFileRequest()
    content.CopyFrom(request)
    content.ClearField("request_id")
    content.ClearField("user_id")
    content.room_id = str(room_uid)
    content.DiscardUnknownFields()
    sent = _hash(content)
    content.sha256 = content.sha256.lower()
    return _hash(content), sent


def _hash(content: pb2.CreateFileRequest) -> bytes:
    return hashlib.sha256(content.SerializeToString(deterministic=True)).digest()


def _uid(text: str, field: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise invalid_field("FIELD_INVALID", field, "must be a UUID") from None
