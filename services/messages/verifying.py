"""What messages knows of rooms and files, compared with what they say, and each log with its own head."""

from collections.abc import AsyncIterator
from uuid import UUID

from sqlalchemy import text

from services.messages.peers import FilesClient, RetentionClient
from services.messages.reference_store import ReferenceStore
from services.runtime.clock import Clock
from services.runtime.command import Tools
from services.runtime.settings import Settings
from services.runtime.verifying import Finding, unnoticed

_PAGE = 200
# A log has every seq once from its oldest to its end, and nobody has read farther than that.
_LOGS = text("""
    SELECT h.room_uid, h.seq, h.oldest_seq,
        (SELECT count(*) FROM messages.messages AS m WHERE m.room_uid = h.room_uid AND m.seq >= h.oldest_seq)
            + (SELECT count(*) FROM messages.events AS e WHERE e.room_uid = h.room_uid AND e.seq >= h.oldest_seq)
            AS held,
        (SELECT max(c.seq) FROM messages.read_cursors AS c WHERE c.room_uid = h.room_uid) AS read_seq
    FROM messages.heads AS h WHERE h.room_uid > :after ORDER BY h.room_uid LIMIT :size
""")


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
    size = min(_PAGE, rooms.most)
    while True:
        async with tools.database.reading() as connection:
            page = (await connection.execute(_LOGS, {"after": after, "size": size})).all()
        if not page:
            return
        known = await rooms.of([row.room_uid for row in page])
        for row in page:
            room, length = str(row.room_uid), row.seq - row.oldest_seq + 1
            if row.room_uid not in known:
                yield Finding(
                    "messages", "LOG_WITHOUT_ROOM", room, f"a log of {row.seq} events, and rooms has no such room"
                )
            if row.held != length:
                yield Finding("messages", "LOG_INCOMPLETE", room, f"has {row.held} events where its head says {length}")
            if (row.read_seq or 0) > row.seq:
                yield Finding("messages", "CURSOR_BEYOND_HEAD", room, f"was read up to {row.read_seq} of {row.seq}")
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
