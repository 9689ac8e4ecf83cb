"""What files knows of rooms, users and messages, compared with what they say, and its tables with the store."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from chatkit.internal.retention.v1 import retention_service_pb2 as retention_pb2
from chatkit.internal.retention.v1.retention_service_pb2_grpc import RetentionServiceStub

from services.files.collection.reconciler import Reconciler
from services.files.collection.store import ReconcilerStore
from services.files.content.blobs import open_blobs
from services.files.model import File
from services.files.peers import MessagesClient
from services.files.settings import FilesSettings
from services.files.store import FileStore
from services.runtime.clock import Clock
from services.runtime.deadline import Deadline
from services.runtime.ids import RoomUid
from services.runtime.peers.directory import DirectoryClient
from services.runtime.process.command import Tools
from services.runtime.process.verifying import Finding, verify_command

_PAGE = 200
_SECONDS = 5.0
# A message is stored some time after its files were attached.
_SENT_WITHIN = timedelta(minutes=1)


async def compare(settings: FilesSettings, tools: Tools, _clock: Clock) -> AsyncIterator[Finding]:
    """Find what does not fit."""
    messages = MessagesClient(tools.peer("messages", settings.messages_address))
    said: list[str] = []
    await Reconciler(tools.database, open_blobs(settings), messages, said.append, is_dry_run=True).reconcile()
    for line in said:
        about, _, detail = line.partition(": ")
        yield Finding("files", "STORE", about, detail)
    sent_before = await FileStore(tools.database).now() - _SENT_WITHIN
    store, after = ReconcilerStore(tools.database), UUID(int=0)
    while page := await store.with_content(after, _PAGE):
        async for finding in _compared(page, settings, tools, sent_before, messages):
            yield finding
        after = page[-1].uid


async def _compared(
    page: Sequence[File], settings: FilesSettings, tools: Tools, sent_before: datetime, messages: MessagesClient
) -> AsyncIterator[Finding]:
    rooms = await _rooms(page, tools, settings)
    users = await DirectoryClient(tools.peer("users", settings.users_address)).find(
        {file.owner_id for file in page}, Deadline.after(_SECONDS)
    )
    used = await messages.referenced([file.id for file in page])
    for file in page:
        if file.room_uid not in rooms:
            yield Finding(
                "files", "FILE_WITHOUT_ROOM", file.id, f"is of the room {file.room_id}, which rooms does not have"
            )
        if users.get(file.owner_id) != file.owner_uid:
            yield Finding("files", "FILE_WITHOUT_OWNER", file.id, f"is {file.owner_id}'s, whom users does not know")
        if file.id not in used and file.attach_time is not None and file.attach_time < sent_before:
            detail = "was sent, and no message refers to it: it goes within a day"
            yield Finding("files", "FILE_UNREFERENCED", file.id, detail, is_note=True)


async def _rooms(page: Sequence[File], tools: Tools, settings: FilesSettings) -> set[RoomUid]:
    peer = tools.peer("rooms", settings.rooms_address)
    request = retention_pb2.BatchGetRetentionRequest(room_uids=sorted({file.room_uid.bytes for file in page}))
    answer = await peer.call(RetentionServiceStub(peer.channel).BatchGetRetention, request)
    return {RoomUid(UUID(bytes=room.room_uid)) for room in answer.rooms}


verify = verify_command("files", compare)
