"""The table of read cursors, and what is read of it; `migrations/` makes it."""

from typing import Any

from sqlalchemy import BigInteger, Column, DateTime, Table, Text, Uuid
from sqlalchemy.types import UserDefinedType

from services.messages.log.tables import metadata
from services.messages.read_states.model import ReadCursor


class TransactionId(UserDefinedType[str]):
    """The id of a transaction, which is never given again."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """Return the type's name in PostgreSQL."""
        return "xid8"


read_cursors = Table(
    "read_cursors",
    metadata,
    Column("room_uid", Uuid, primary_key=True),
    Column("user_uid", Uuid, primary_key=True),
    Column("user_id", Text(collation="C"), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("update_time", DateTime(timezone=True), nullable=False),
    Column("moved_xid", TransactionId, nullable=False),
)

CURSOR = (
    read_cursors.c.room_uid,
    read_cursors.c.user_uid,
    read_cursors.c.user_id,
    read_cursors.c.seq,
    read_cursors.c.revision,
    read_cursors.c.update_time,
)


def cursor_of(row: Any) -> ReadCursor:
    """Return the cursor of a row of CURSOR."""
    return ReadCursor(row.room_uid, row.user_uid, row.user_id, row.seq, row.revision, row.update_time)
