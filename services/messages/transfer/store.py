"""Messages in PostgreSQL as an export wants them: with the request ids, which their bytes do not have."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select

from services.messages.log.tables import heads, messages
from services.runtime.data.columns import columns_of, fields_of
from services.runtime.data.database import Database
from services.runtime.ids import RoomUid


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A serialized message with its place and its request id."""

    seq: int
    request_id: str
    message: bytes


_COLUMNS = columns_of(messages, StoredMessage)


class TransferStore:
    """Reads the log of every room; nothing is locked."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def logs(self, after: UUID, size: int) -> list[RoomUid]:
        """Return the rooms that have a log in the order of their uids."""
        page = select(heads.c.room_uid).where(heads.c.room_uid > after, heads.c.is_erased.is_(False))
        async with self._database.reading() as connection:
            return list((await connection.execute(page.order_by(heads.c.room_uid).limit(size))).scalars())

    async def page(self, room_uid: RoomUid, after_seq: int, size: int) -> list[StoredMessage]:
        """Return messages of a room that are not deleted, in their order."""
        page = select(*_COLUMNS).where(
            messages.c.room_uid == room_uid, messages.c.seq > after_seq, messages.c.delete_time.is_(None)
        )
        async with self._database.reading() as connection:
            found = await connection.execute(page.order_by(messages.c.seq).limit(size))
            return [StoredMessage(**fields_of(row, StoredMessage)) for row in found]
