"""What messages knows of rooms and files, compared with what they say, and each log with its own head."""

from collections.abc import AsyncIterator
from uuid import UUID

from services.messages.attachments.store import ReferenceStore
from services.messages.log.store import LogStore
from services.messages.peers import FilesClient, RetentionClient
from services.runtime.clock import Clock
from services.runtime.process.command import Tools
from services.runtime.process.verifying import Finding, unnoticed, verify_command
from services.runtime.settings import Settings

_PAGE = 200


async def compare(settings: Settings, tools: Tools, _clock: Clock) -> AsyncIterator[Finding]:
    """Find what does not fit."""
    async for finding in unnoticed("messages", tools):
        yield finding
    async for finding in _logs(settings, tools):
        yield finding
    async for finding in _references(settings, tools):
        yield finding


async def _logs(settings: Settings, tools: Tools) -> AsyncIterator[Finding]:
    rooms, after = RetentionClient(tools.peer("rooms", settings.rooms_address), settings.limits), UUID(int=0)
    store = LogStore(tools.database)
    size = min(_PAGE, rooms.most)
    while True:
        page = await store.lengths(after, size)
        if not page:
            return
        known = await rooms.of([row.room_uid for row in page])
        for row in page:
            room, seq = str(row.room_uid), row.head.seq
            length = seq - row.head.oldest_seq + 1
            if row.room_uid not in known:
                yield Finding(
                    "messages", "LOG_WITHOUT_ROOM", room, f"a log of {seq} events, and rooms has no such room"
                )
            if row.held != length:
                yield Finding("messages", "LOG_INCOMPLETE", room, f"has {row.held} events where its head says {length}")
            if row.read_seq > seq:
                yield Finding("messages", "CURSOR_BEYOND_HEAD", room, f"was read up to {row.read_seq} of {seq}")
        after = page[-1].room_uid


async def _references(settings: Settings, tools: Tools) -> AsyncIterator[Finding]:
    store, files, after = ReferenceStore(tools.database), FilesClient(tools.peer("files", settings.files_address)), ""
    while noted := await store.noted(after, _PAGE):
        wanted = await store.found(noted)
        ready = await files.ready(wanted) if wanted else set()
        for file_id in wanted:
            if file_id not in ready:
                yield Finding("messages", "FILE_MISSING", file_id, "a message refers to it, and files does not have it")
        after = noted[-1]


verify = verify_command("messages", compare)
