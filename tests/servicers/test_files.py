"""The servicers of files through grpcio-testing, behind composed handlers."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest
from chatkit.files.v1 import file_pb2
from chatkit.files.v1 import files_service_pb2 as pb2
from chatkit.internal.attachments.v1 import attachments_service_pb2 as attachments_pb2
from google.protobuf import struct_pb2

from services.files.content.urls import SignedUrl
from services.files.model import Draft, File, FileState, FileUid, PageStart
from services.files.servicer import AttachmentsServicer, FilesServicer
from services.runtime.access.port import AccessQuery
from services.runtime.calls.handlers import Handlers
from services.runtime.calls.paging import PageTokens
from services.runtime.contract.errors import InvalidArgument, PermissionDenied
from services.runtime.contract.policies import Limits
from services.runtime.deadline import NEVER, Deadline
from services.runtime.ids import RoomId, RoomUid, UserId, UserUid
from tests.support.adapter import TestedServicer
from tests.support.peers import room_uid_of, uid_of, user_uid_of
from tests.support.tokens import service, user

_TIME = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
_CONTENT = b"x" * 100_000


def _file(number: int) -> File:
    owner, room = user_uid_of("alice"), room_uid_of("lobby")
    return File(
        uid=FileUid(UUID(int=number)),
        room_uid=room,
        room_id=RoomId("lobby"),
        owner_uid=owner,
        owner_id=UserId("alice"),
        name="n",
        content_type="image/png",
        size_bytes=len(_CONTENT),
        sha256=b"\1" * 32,
        custom_data='{"n":1}',
        state=FileState.READY,
        blob_key="key",
        create_time=_TIME.replace(microsecond=number),
        attach_time=None,
    )


class _Files:
    """The use cases of files, over three of them."""

    def __init__(self) -> None:
        self.drafts: list[Draft] = []
        self.deleted: list[str] = []

    async def create(self, draft: Draft) -> File:
        self.drafts.append(draft)
        return replace(_file(1), uid=draft.uid, name=draft.name, state=FileState.PENDING, blob_key="")

    async def get(
        self, _room_uid: RoomUid, file_id: str, _user_id: str | None, _deadline: Deadline, *, superuser: bool
    ) -> File:
        return _file(UUID(file_id).int)

    async def get_all(self, file_ids: Sequence[str], _query: AccessQuery, _deadline: Deadline) -> list[File]:
        return [_file(UUID(file_id).int) for file_id in file_ids]

    async def own(self, room_uid: RoomUid, file_id: str, user_id: str, deadline: Deadline, *, superuser: bool) -> File:
        return await self.get(room_uid, file_id, user_id, deadline, superuser=superuser)

    async def page(
        self, _room_uid: RoomUid, own: UUID | None, start: PageStart | None, size: int, _deadline: Deadline
    ) -> tuple[list[File], PageStart | None]:
        assert own == uid_of("alice")
        files = [_file(number) for number in (3, 2, 1)]
        after = (start.create_time, start.uid) if start is not None else None
        found = [file for file in files if after is None or (file.create_time, file.uid) < after]
        return found[:size], PageStart.after(found[size - 1]) if len(found) > size else None

    async def content(self, _file: File, start: int, end: int) -> AsyncIterator[bytes]:
        yield _CONTENT[start:end]

    async def download_url(self, file: File, *, attachment: bool = False) -> SignedUrl | None:
        return SignedUrl("http://save" if attachment else "http://down", _TIME) if file.has_content else None

    async def upload_url(self, _file: File) -> SignedUrl:
        return SignedUrl("http://up", _TIME)

    async def delete(self, file: File, _deadline: Deadline) -> None:
        self.deleted.append(file.id)

    async def attach(
        self, _room_uid: RoomUid, _owner_uid: UserUid, file_ids: Sequence[str], _deadline: Deadline
    ) -> list[File]:
        return [_file(UUID(file_id).int) for file_id in file_ids]


def _tested(handlers: Handlers, page_tokens: PageTokens, limits: Limits, files: _Files) -> TestedServicer:
    nobody = cast("Any", None)
    servicer = FilesServicer(cast("Any", files), nobody, nobody, page_tokens, limits, lambda: UUID(int=9))
    return TestedServicer(servicer, handlers)


def test_files(handlers: Handlers, page_tokens: PageTokens, limits: Limits) -> None:
    files = _Files()
    tested = _tested(handlers, page_tokens, limits, files)
    value = struct_pb2.Value(string_value="é")
    request = pb2.CreateFileRequest(
        room_id="lobby", content_type="image/png", size_bytes=3, sha256="AB" * 32, custom_data=value, request_id="1"
    )
    created = tested.call("CreateFile", request, user("alice"))
    (draft,) = files.drafts
    assert (draft.uid, draft.owner_uid, draft.room_uid) == (UUID(int=9), uid_of("alice"), uid_of("lobby"))
    assert (draft.name, draft.sha256, draft.custom_data) == ("image.png", b"\xab" * 32, '"é"')
    assert (created.file.state, created.file.download_url) == (file_pb2.FILE_STATE_PENDING, "")
    assert (created.upload_url, created.upload_expire_time.ToDatetime(UTC)) == ("http://up", _TIME)
    with pytest.raises(PermissionDenied):
        tested.call("CreateFile", request, user("bob"))
    with pytest.raises(InvalidArgument, match="content_type"):
        tested.call("CreateFile", pb2.CreateFileRequest(room_id="lobby", request_id="1"), user("alice"))
    named: dict[str, Any] = {"room_id": "lobby", "file_id": str(UUID(int=2))}
    got = tested.call("GetFile", pb2.GetFileRequest(**named), user("alice")).file
    assert (got.sha256, got.custom_data.struct_value.fields["n"].number_value) == ("01" * 32, 1)
    assert (got.download_url, got.download_expire_time.ToDatetime(UTC)) == ("http://down", _TIME)
    saving = tested.call("GetFile", pb2.GetFileRequest(**named, attachment=True), user("alice")).file
    assert saving.download_url == "http://save"
    frames = tested.stream("DownloadFile", pb2.DownloadFileRequest(**named, offset_bytes=1), user("alice"))
    assert b"".join(chunk for frame in frames for chunk in frame.chunks) == _CONTENT[1:]
    assert max(frame.ByteSize() for frame in frames) <= 64 * 1024
    with pytest.raises(InvalidArgument, match="offset_bytes"):
        tested.stream("DownloadFile", pb2.DownloadFileRequest(**named, offset_bytes=100_001), user("alice"))
    tested.call("DeleteFile", pb2.DeleteFileRequest(**named), user("alice"))
    assert files.deleted == [str(UUID(int=2))]


async def test_others_go_on_while_files_are_described_whose_custom_data_is_much(
    page_tokens: PageTokens, limits: Limits
) -> None:
    nobody, turns = cast("Any", None), 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    class Much(_Files):
        async def get_all(self, file_ids: Sequence[str], query: AccessQuery, deadline: Deadline) -> list[File]:
            found = await super().get_all(file_ids, query, deadline)
            return [replace(file, custom_data=json.dumps([1] * 100)) for file in found]

    servicer = FilesServicer(cast("Any", Much()), nobody, nobody, page_tokens, limits, lambda: UUID(int=9))
    request = pb2.BatchGetFilesRequest(file_ids=[str(UUID(int=number)) for number in range(10)])
    others = asyncio.create_task(take_turns())
    answer = await servicer.BatchGetFiles(request, cast("Any", SimpleNamespace(query=Much, deadline=NEVER)))
    others.cancel()
    assert (len(answer.files), turns) == (10, 10)


def test_pages_of_files_go_on_exactly_where_they_ended(
    handlers: Handlers, page_tokens: PageTokens, limits: Limits
) -> None:
    tested = _tested(handlers, page_tokens, limits, _Files())
    request = pb2.ListFilesRequest(room_id="lobby", page_size=2)
    page = tested.call("ListFiles", request, user("alice"))
    assert [UUID(file.id).int for file in page.files] == [3, 2]
    request.page_token = page.next_page_token
    last = tested.call("ListFiles", request, user("alice"))
    assert ([UUID(file.id).int for file in last.files], last.next_page_token) == ([1], "")


def test_attachments(handlers: Handlers) -> None:
    tested = TestedServicer(AttachmentsServicer(cast("Any", _Files())), handlers)
    ids = [str(UUID(int=number)) for number in (2, 1, 2)]
    named = {"room_uid": str(uid_of("lobby")), "owner_uid": str(uid_of("alice"))}
    request = attachments_pb2.AttachFilesRequest(**named, file_ids=ids)
    answer = tested.call("AttachFiles", request, service("messages", "tested"))
    assert [file.id for file in answer.files] == ids[:2]
    request.room_uid = "no uid"
    with pytest.raises(InvalidArgument, match="room_uid"):
        tested.call("AttachFiles", request, service("messages", "tested"))
