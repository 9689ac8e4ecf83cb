"""Reads of the log through SQLAlchemy Core; writes are `log.append`, and nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
    bindparam,
    func,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY

from services.messages.model import EMPTY, Head, LogEntry
from services.runtime.database import Database

metadata = MetaData(schema="messages")
heads = Table(
    "heads",
    metadata,
    Column("room_uid", Uuid, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("oldest_seq", BigInteger, nullable=False),
    Column("ordinal", BigInteger, nullable=False),
    Column("last_time", DateTime(timezone=True)),
)
messages = Table(
    "messages",
    metadata,
    Column("room_uid", Uuid, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("ordinal", BigInteger, nullable=False),
    Column("sender_uid", Uuid, nullable=False),
    Column("request_id", Text(collation="C"), nullable=False),
    Column("content_hash", LargeBinary, nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False),
    Column("message", LargeBinary, nullable=False),
)

_ENTRY = (messages.c.seq, messages.c.create_time, messages.c.message)
_OF_ROOM = messages.c.room_uid == bindparam("room_uid", type_=Uuid)
_SEQ = bindparam("seq", type_=BigInteger)
_MOST = bindparam("most", type_=BigInteger)

_GET = select(messages.c.message).where(_OF_ROOM, messages.c.seq == _SEQ)
_OLDER = (
    select(messages.c.seq, messages.c.message)
    .where(_OF_ROOM, messages.c.seq < _SEQ)
    .order_by(messages.c.seq.desc())
    .limit(_MOST)
)
_NEWER = (
    select(messages.c.seq, messages.c.message)
    .where(_OF_ROOM, messages.c.seq > _SEQ)
    .order_by(messages.c.seq)
    .limit(_MOST)
)
_AFTER = select(*_ENTRY).where(_OF_ROOM, messages.c.seq > _SEQ).order_by(messages.c.seq).limit(_MOST)
_HEADS = select(heads.c.room_uid, heads.c.seq).where(
    heads.c.room_uid == func.any(bindparam("room_uids", type_=ARRAY(Uuid)))
)
# One statement, so that head and entries are of one moment; the head is there even when there are no entries.
_last = (
    select(*_ENTRY).where(messages.c.room_uid == heads.c.room_uid).order_by(messages.c.seq.desc()).limit(_MOST)
).lateral("last")
_TAIL = (
    select(
        heads.c.seq.label("head_seq"),
        heads.c.oldest_seq,
        _last.c.seq,
        _last.c.create_time,
        _last.c.message,
    )
    .select_from(heads.outerjoin(_last, true()))
    .where(heads.c.room_uid == bindparam("room_uid", type_=Uuid))
    .order_by(_last.c.seq)
)


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of a room's log: its head and its last entries, oldest first."""

    head: Head
    entries: Sequence[LogEntry]


class LogStore:
    """The log in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, room_uid: UUID, seq: int) -> bytes | None:
        """Return a serialized message, or None."""
        async with self._database.reading() as connection:
            found = await connection.execute(_GET, {"room_uid": room_uid, "seq": seq})
            message: bytes | None = found.scalar_one_or_none()
        return message

    async def page(self, room_uid: UUID, seq: int, most: int, *, newer: bool) -> list[tuple[int, bytes]]:
        """Return serialized messages with their seqs: those after `seq` in order, or those before it backwards."""
        async with self._database.reading() as connection:
            rows = await connection.execute(
                _NEWER if newer else _OLDER,
                {"room_uid": room_uid, "seq": seq, "most": most},
            )
            return [(row.seq, row.message) for row in rows]

    async def after(self, room_uid: UUID, seq: int, most: int) -> list[LogEntry]:
        """Return the entries after `seq`, in order."""
        async with self._database.reading() as connection:
            rows = await connection.execute(_AFTER, {"room_uid": room_uid, "seq": seq, "most": most})
            return [LogEntry(row.seq, row.create_time, row.message) for row in rows]

    async def tail(self, room_uid: UUID, most: int) -> Tail:
        """Return the head and the last entries, of one moment."""
        async with self._database.reading() as connection:
            rows = (await connection.execute(_TAIL, {"room_uid": room_uid, "most": most})).all()
        if not rows:
            return Tail(EMPTY, ())
        head = Head(rows[0].head_seq, rows[0].oldest_seq)
        return Tail(
            head,
            [LogEntry(row.seq, row.create_time, row.message) for row in rows if row.seq is not None],
        )

    async def head_seqs(self, room_uids: Sequence[UUID]) -> Mapping[UUID, int]:
        """Return the ends of several logs; empty ones are 0."""
        async with self._database.reading() as connection:
            rows = await connection.execute(_HEADS, {"room_uids": list(room_uids)})
            return dict.fromkeys(room_uids, 0) | {row.room_uid: row.seq for row in rows}
