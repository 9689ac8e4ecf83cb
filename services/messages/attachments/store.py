"""Which messages may refer to which files. What counts is what a stored message says; the rows are how it is found."""

from collections.abc import Sequence

from sqlalchemy import Column, DateTime, Table, Text, Uuid, select, text

from services.messages.log.tables import metadata
from services.runtime.data.database import Database
from services.runtime.ids import RoomUid, UserUid

_id = Text(collation="C")
attachments = Table(
    "attachments",
    metadata,
    Column("file_id", _id, primary_key=True),
    Column("room_uid", Uuid, primary_key=True),
    Column("sender_uid", Uuid, primary_key=True),
    Column("request_id", _id, primary_key=True),
    Column("note_time", DateTime(timezone=True)),
)
# The head is looked at in the statement that writes: see services/runtime/data/writers.py.
_NOTE = text("""
    INSERT INTO messages.attachments (file_id, room_uid, sender_uid, request_id)
    SELECT wanted.file_id, CAST(:room_uid AS uuid), CAST(:sender_uid AS uuid), :request_id
    FROM unnest(CAST(:file_ids AS text[])) AS wanted (file_id)
    WHERE NOT EXISTS (SELECT FROM messages.heads AS h WHERE h.room_uid = :room_uid AND h.is_erased)
        AND NOT EXISTS (SELECT FROM messages.fences AS f WHERE f.uid = :sender_uid)
    ON CONFLICT (file_id, room_uid, sender_uid, request_id) DO UPDATE SET note_time = clock_timestamp()
""")
# One message is enough, however many there are. A message that was deleted or edited has the id no longer.
_REFERENCED = text("""
    SELECT wanted.file_id FROM unnest(CAST(:file_ids AS text[])) AS wanted (file_id)
    WHERE EXISTS (
        SELECT 1 FROM messages.attachments AS a JOIN messages.messages AS m USING (room_uid, sender_uid, request_id)
        WHERE a.file_id = wanted.file_id AND position(convert_to(a.file_id, 'UTF8') IN m.message) > 0
    )
""")
# No send takes as long.
_FORGET = text("""
    DELETE FROM messages.attachments
    WHERE file_id = ANY(CAST(:file_ids AS text[])) AND note_time < clock_timestamp() - interval '1 day'
""")


class ReferenceStore:
    """References to files."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def note(self, file_ids: Sequence[str], room_uid: RoomUid, sender_uid: UserUid, request_id: str) -> None:
        """Note, before a message is stored, that it may refer to files; it is known by its sender and request id.

        Nothing is noted for a room or a user that was deleted: the message is not stored either.
        """
        values = {
            "file_ids": list(file_ids),
            "room_uid": room_uid,
            "sender_uid": sender_uid,
            "request_id": request_id,
        }
        async with self._database.transaction() as connection:
            await connection.execute(_NOTE, values)

    async def noted(self, after: str, size: int) -> list[str]:
        """Return the ids of files that messages may refer to, in their order."""
        statement = select(attachments.c.file_id).where(attachments.c.file_id > after).distinct()
        async with self._database.reading() as connection:
            found = await connection.execute(statement.order_by(attachments.c.file_id).limit(size))
            return list(found.scalars())

    async def found(self, file_ids: Sequence[str]) -> list[str]:
        """Return those of the files that a stored message refers to, and forget nothing."""
        async with self._database.reading() as connection:
            return sorted((await connection.execute(_REFERENCED, {"file_ids": list(file_ids)})).scalars())

    async def referenced(self, file_ids: Sequence[str]) -> set[str]:
        """Return those of the files that a stored message refers to."""
        found = set(await self.found(file_ids))
        unused = [file_id for file_id in file_ids if file_id not in found]
        if unused:
            async with self._database.transaction() as connection:
                await connection.execute(_FORGET, {"file_ids": unused})
        return found
