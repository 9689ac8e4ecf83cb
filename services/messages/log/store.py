"""Reads of the log; writes are `log.append`, and nothing else."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Select,
    SmallInteger,
    Subquery,
    Text,
    Uuid,
    and_,
    bindparam,
    func,
    literal,
    literal_column,
    select,
    true,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY

from services.messages import frames
from services.messages.log.tables import events, heads, messages, shown_request_id
from services.messages.model import EMPTY, EventKind, Head, LogEntry
from services.runtime.data.database import Database
from services.runtime.data.query import Query
from services.runtime.ids import RoomUid, UserUid

_OF_ROOM = messages.c.room_uid == bindparam("room_uid", type_=Uuid)
_SEQ = bindparam("seq", type_=BigInteger)
_MOST = bindparam("most", type_=BigInteger)
_IS_THERE = messages.c.delete_time.is_(None)
# Of the message that an event is about; revision is null without one.
_REVISION = func.coalesce(messages.c.revision, messages.c.seq).label("revision")
_IS_DELETED = messages.c.delete_time.is_not(None).label("is_deleted")
_REQUEST_ID = literal_column(shown_request_id(messages.fullname), Text).label("request_id")
# What it is shown by.
_MESSAGE = (messages.c.message, _REQUEST_ID)

_GET = Query(select(*_MESSAGE).where(_OF_ROOM, messages.c.seq == _SEQ, _IS_THERE))
_GET_SOME = Query(
    select(messages.c.seq, *_MESSAGE).where(
        _OF_ROOM, messages.c.seq == func.any(bindparam("seqs", type_=ARRAY(BigInteger))), _IS_THERE
    )
)
_ORIGIN = Query(select(messages.c.sender_uid, messages.c.request_id).where(_OF_ROOM, messages.c.seq == _SEQ))
_OLDER = Query(
    select(messages.c.seq, *_MESSAGE)
    .where(_OF_ROOM, messages.c.seq < _SEQ, _IS_THERE)
    .order_by(messages.c.seq.desc())
    .limit(_MOST)
)
_NEWER = Query(
    select(messages.c.seq, *_MESSAGE)
    .where(_OF_ROOM, messages.c.seq > _SEQ, _IS_THERE)
    .order_by(messages.c.seq)
    .limit(_MOST)
)
# Told where each log was, so that the many of which nothing has happened cost no row. `OFFSET 0` keeps it a look at the
# index for each, whatever the planner thinks of the table.
_MOVED_HEADS = Query("""
    SELECT known.room_uid, coalesce(head.seq, 0) AS seq, coalesce(head.oldest_seq, 1) AS oldest_seq,
        coalesce(head.is_erased, false) AS is_erased
    FROM unnest(CAST(:room_uids AS uuid[]), CAST(:seqs AS bigint[]), CAST(:oldest_seqs AS bigint[]))
        AS known (room_uid, seq, oldest_seq)
    LEFT JOIN LATERAL (
        SELECT h.seq, h.oldest_seq, h.is_erased
        FROM messages.heads AS h WHERE h.room_uid = known.room_uid OFFSET 0
    ) AS head ON true
    WHERE (coalesce(head.seq, 0), coalesce(head.oldest_seq, 1)) <> (known.seq, known.oldest_seq) OR head.is_erased
""")
_LAST_TIMES = Query("""
    SELECT room_uid, last_time FROM messages.heads WHERE room_uid = ANY(CAST(:room_uids AS uuid[])) AND seq > 0
""")
# A log has every seq once from its oldest to its end, and nobody has read farther than that.
_LENGTHS = Query("""
    SELECT h.room_uid, h.seq, h.oldest_seq,
        (SELECT count(*) FROM messages.messages AS m WHERE m.room_uid = h.room_uid AND m.seq >= h.oldest_seq)
            + (SELECT count(*) FROM messages.events AS e WHERE e.room_uid = h.room_uid AND e.seq >= h.oldest_seq)
            AS held,
        (SELECT max(c.seq) FROM messages.read_cursors AS c WHERE c.room_uid = h.room_uid) AS read_seq
    FROM messages.heads AS h WHERE h.room_uid > :after AND NOT h.is_erased ORDER BY h.room_uid LIMIT :size
""")
# A message's row is its own creation; other events refer to a message, which retention may have swept.
_CREATED = select(
    messages.c.seq,
    literal(int(EventKind.CREATED), SmallInteger).label("kind"),
    messages.c.create_time.label("time"),
    messages.c.seq.label("message_seq"),
    _REVISION,
    _IS_DELETED,
    *_MESSAGE,
).where(_OF_ROOM)
_CHANGED = (
    select(events.c.seq, events.c.kind, events.c.time, events.c.message_seq, _REVISION, _IS_DELETED, *_MESSAGE)
    .select_from(
        events.outerjoin(
            messages, and_(messages.c.room_uid == events.c.room_uid, messages.c.seq == events.c.message_seq)
        )
    )
    .where(events.c.room_uid == bindparam("room_uid", type_=Uuid))
)


def _merged(created: Select[Any], changed: Select[Any], *, newest: bool) -> Subquery:
    """Walk both kinds of rows by seq and take the first so many of them together."""
    columns = (messages.c.seq.desc(), events.c.seq.desc()) if newest else (messages.c.seq, events.c.seq)
    both = union_all(
        created.order_by(columns[0]).limit(_MOST).subquery().select(),
        changed.order_by(columns[1]).limit(_MOST).subquery().select(),
    ).subquery()
    return select(both).order_by(both.c.seq.desc() if newest else both.c.seq).limit(_MOST).subquery("log")


def _with_head(log: Subquery) -> Select[Any]:
    """Read head and entries in one statement, so that they are of one moment; the head is there without entries too."""
    return (
        select(heads.c.seq.label("head_seq"), heads.c.oldest_seq, log)
        .select_from(heads.outerjoin(log, true()))
        .where(heads.c.room_uid == bindparam("room_uid", type_=Uuid))
        .order_by(log.c.seq)
    )


_AFTER = Query(
    _with_head(_merged(_CREATED.where(messages.c.seq > _SEQ), _CHANGED.where(events.c.seq > _SEQ), newest=False))
)


@dataclass(frozen=True, slots=True)
class LogStretch:
    """Some of a room's log, oldest first, and its head, all of one moment."""

    head: Head
    entries: Sequence[LogEntry]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLength:
    """How many events of a log there are, and how far it was read by whoever has read the most; 0 is not at all."""

    room_uid: RoomUid
    head: Head
    held: int
    read_seq: int


class LogStore:
    """The log in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, room_uid: RoomUid, seq: int) -> bytes | None:
        """Return a serialized message, or None; a deleted one is not there."""
        row = await self._database.row(_GET, {"room_uid": room_uid, "seq": seq})
        return _shown(row) if row is not None else None

    async def find_some(self, room_uid: RoomUid, seqs: Sequence[int]) -> Mapping[int, bytes]:
        """Return, by their seqs, those of some serialized messages that are there."""
        rows = await self._database.rows(_GET_SOME, {"room_uid": room_uid, "seqs": list(seqs)})
        return {row.seq: _shown(row) for row in rows}

    async def find_origin(self, room_uid: RoomUid, seq: int) -> tuple[UserUid, str] | None:
        """Return who sent a message, which may be deleted, and with which request id; or None."""
        row = await self._database.row(_ORIGIN, {"room_uid": room_uid, "seq": seq})
        return (row.sender_uid, row.request_id) if row is not None else None

    async def page(self, room_uid: RoomUid, seq: int, most: int, *, newer: bool) -> list[tuple[int, bytes]]:
        """Return serialized messages with their seqs: those after `seq` in order, or those before it backwards."""
        rows = await self._database.rows(_NEWER if newer else _OLDER, {"room_uid": room_uid, "seq": seq, "most": most})
        return [(row.seq, _shown(row)) for row in rows]

    async def after(self, room_uid: RoomUid, seq: int, most: int) -> LogStretch:
        """Return the entries after `seq`."""
        return await self._stretch(_AFTER, {"room_uid": room_uid, "seq": seq, "most": most})

    async def last_times(self, room_uids: Sequence[RoomUid]) -> Mapping[RoomUid, datetime]:
        """Return when something last happened in those of some rooms in which anything did."""
        rows = await self._database.rows(_LAST_TIMES, {"room_uids": array(uid.hex for uid in room_uids)})
        return {row.room_uid: row.last_time for row in rows if row.last_time is not None}

    async def moved_heads(self, known: Sequence[tuple[RoomUid, Head]]) -> Mapping[RoomUid, Head]:
        """Return the ends of those of some logs that are not where they are known to be."""
        told = {
            "room_uids": array(room_uid.hex for room_uid, _ in known),
            "seqs": array(str(head.seq) for _, head in known),
            "oldest_seqs": array(str(head.oldest_seq) for _, head in known),
        }
        rows = await self._database.rows(_MOVED_HEADS, told)
        return {row.room_uid: Head(row.seq, row.oldest_seq, row.is_erased) for row in rows}

    async def lengths(self, after: UUID, size: int) -> list[LogLength]:
        """Return a page of all logs in the order of their rooms' uids; each is counted whole."""
        return [
            LogLength(
                room_uid=row.room_uid, head=Head(row.seq, row.oldest_seq), held=row.held, read_seq=row.read_seq or 0
            )
            for row in await self._database.rows(_LENGTHS, {"after": after, "size": size})
        ]

    async def _stretch(self, query: Query, values: dict[str, Any]) -> LogStretch:
        return stretch_of(await self._database.rows(query, values))


def array(items: Iterable[str]) -> str:
    """Return an array as text, for a parameter that is cast: adapting each item would cost more than all the rest."""
    return f"{{{','.join(items)}}}"


def stretch_of(rows: Sequence[Any]) -> LogStretch:
    """Return what rows of entries tell, each with the head; an empty log has none."""
    if not rows:
        return LogStretch(EMPTY, ())
    head = Head(rows[0].head_seq, rows[0].oldest_seq)
    return LogStretch(head, [entry_of(row) for row in rows if row.seq is not None])


def entry_of(row: Any) -> LogEntry:
    """Return the entry of a row."""
    kind = EventKind(row.kind)
    if row.message is None:
        return LogEntry(
            seq=row.seq,
            time=row.time,
            message=None,
            kind=kind,
            message_seq=row.message_seq,
            revision=row.seq,
            is_deleted=False,
        )
    return LogEntry(
        seq=row.seq,
        time=row.time,
        message=_shown(row),
        kind=kind,
        message_seq=row.message_seq,
        revision=row.revision,
        is_deleted=row.is_deleted,
    )


def _shown(row: Any) -> bytes:
    return frames.shown_message(row.message, row.request_id)
