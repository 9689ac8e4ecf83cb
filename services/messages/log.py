"""The one append function, for every writer of heads: a batch of drafts in one transaction at READ COMMITTED.

Commit order is log order because a seq is given under the row lock of the room's head, in the transaction that writes
the row: no holes, no reordering. The statements go to psycopg's own connection in pipelines, two round trips a batch;
through SQLAlchemy each of them costs about 140 microseconds more.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg

from services.messages import wire
from services.messages.model import Draft, LogEntry
from services.runtime.errors import AlreadyExists

_LOCK = """
    SELECT room_uid, seq, ordinal, last_time FROM messages.heads
    WHERE room_uid = ANY(%b) ORDER BY room_uid FOR UPDATE
"""
# In order, so that writers over shared rooms wait for one another instead of deadlocking.
_LOCK_FREE_ONES = _LOCK + " SKIP LOCKED"
# A statement of its own, so that its snapshot is younger than the locks: merged into the one above it would miss what
# was committed while that one waited.
_FIND_DUPLICATES = """
    SELECT clock_timestamp(), m.room_uid, m.sender_uid, m.request_id, m.content_hash, m.seq, m.create_time, m.message
    FROM (SELECT 1) AS always LEFT JOIN (
        unnest(%b::uuid[], %b::uuid[], %b::text[]) AS wanted (room_uid, sender_uid, request_id)
        JOIN messages.messages AS m USING (room_uid, sender_uid, request_id)
    ) ON true
"""
_INSERT = """
    INSERT INTO messages.messages
        (room_uid, seq, ordinal, sender_uid, request_id, content_hash, create_time, message)
    SELECT * FROM unnest(%b::uuid[], %b::bigint[], %b::bigint[], %b::uuid[], %b::text[], %b::bytea[],
        %b::timestamptz[], %b::bytea[])
"""
_MOVE_HEADS = """
    UPDATE messages.heads AS h SET seq = n.seq, ordinal = n.ordinal, last_time = n.last_time
    FROM unnest(%b::uuid[], %b::bigint[], %b::bigint[], %b::timestamptz[]) AS n (room_uid, seq, ordinal, last_time)
    WHERE h.room_uid = n.room_uid
"""
_MAKE_HEAD = "INSERT INTO messages.heads (room_uid) VALUES (%s) ON CONFLICT DO NOTHING"

Connection = psycopg.AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Appended:
    """A draft that is in the log, or was there already."""

    entry: LogEntry
    is_new: bool


Result = Appended | AlreadyExists


@dataclass(slots=True)
class _Head:
    seq: int
    ordinal: int
    last_time: datetime | None


@dataclass(frozen=True, slots=True)
class _Row:
    draft: Draft
    entry: LogEntry
    ordinal: int


class CommitUnknown(Exception):
    """The commit was asked for, and nobody knows whether it happened."""


async def make_head(connection: Connection, room_uid: UUID) -> None:
    """Make a room's head in a transaction of its own: made inside the append, two of them deadlock."""
    await connection.execute(_MAKE_HEAD, (room_uid,))
    await connection.commit()


async def append(
    connection: Connection, drafts: Sequence[Draft], *, wait_ms: int | None
) -> dict[tuple[UUID, UUID, str], Result]:
    """Append drafts, whose keys must differ, and return what became of each.

    With `wait_ms` None, drafts of rooms whose heads are locked are left out of the answer; else their locks are waited
    for. Raises CommitUnknown or psycopg's errors; after the latter nothing has happened.
    """
    heads, time, known = await _lock(connection, drafts, wait_ms)
    results: dict[tuple[UUID, UUID, str], Result] = {}
    rows: list[_Row] = []
    for draft in drafts:
        head = heads.get(draft.room_uid)
        if head is None:
            continue
        repeated = known.get(draft.key)
        if repeated is not None:
            results[draft.key] = _repetition(draft, *repeated)
        else:
            rows.append(_place(draft, head, time))
            results[draft.key] = Appended(rows[-1].entry, is_new=True)
    if rows:
        await _write(
            connection,
            rows,
            {row.draft.room_uid: heads[row.draft.room_uid] for row in rows},
        )
    else:
        await connection.rollback()
    return results


async def _lock(
    connection: Connection, drafts: Sequence[Draft], wait_ms: int | None
) -> tuple[dict[UUID, _Head], datetime, Mapping[tuple[UUID, UUID, str], tuple[bytes, LogEntry]]]:
    async with connection.pipeline():
        if wait_ms is not None:
            await connection.execute(f"SET LOCAL lock_timeout = {wait_ms:d}")
        rooms = sorted({draft.room_uid for draft in drafts})
        locked = await connection.execute(_LOCK_FREE_ONES if wait_ms is None else _LOCK, (rooms,))
        duplicates = await connection.execute(
            _FIND_DUPLICATES,
            (
                [draft.room_uid for draft in drafts],
                [draft.sender_uid for draft in drafts],
                [draft.request_id for draft in drafts],
            ),
        )
    # Read after the pipeline has ended: inside, a read would cost a round trip of its own.
    heads = {uid: _Head(seq, ordinal, last_time) async for uid, seq, ordinal, last_time in locked}
    found = await duplicates.fetchall()
    known = {
        (room_uid, sender_uid, request_id): (
            content_hash,
            LogEntry(seq, create_time, message),
        )
        for _, room_uid, sender_uid, request_id, content_hash, seq, create_time, message in found
        if room_uid is not None
    }
    return heads, found[0][0], known


def _repetition(draft: Draft, content_hash: bytes, entry: LogEntry) -> Result:
    if content_hash != draft.content_hash:
        return request_id_reused(draft.request_id)
    return Appended(entry, is_new=False)


def request_id_reused(request_id: str) -> AlreadyExists:
    """Return the error for a request id that stands for other content."""
    return AlreadyExists(
        "REQUEST_ID_REUSED",
        "the request id was used with other content",
        metadata={"request_id": request_id},
    )


def _place(draft: Draft, head: _Head, time: datetime) -> _Row:
    head.seq += 1
    head.ordinal += 1
    # The wall clock may step back; the log's time does not.
    head.last_time = time if head.last_time is None else max(head.last_time, time)
    entry = LogEntry(
        head.seq,
        head.last_time,
        wire.placed_message(draft.unplaced, head.seq, head.last_time),
    )
    return _Row(draft, entry, head.ordinal)


async def _write(connection: Connection, rows: Sequence[_Row], heads: Mapping[UUID, _Head]) -> None:
    warnings: list[psycopg.errors.Diagnostic] = []
    connection.add_notice_handler(warnings.append)
    moved = (
        list(heads),
        [head.seq for head in heads.values()],
        [head.ordinal for head in heads.values()],
        [head.last_time for head in heads.values()],
    )
    try:
        async with connection.pipeline():
            await connection.execute(_INSERT, _columns(rows))
            await connection.execute(_MOVE_HEADS, moved)
            await connection.commit()
    except psycopg.Error as error:
        if _was_refused(error):
            raise
        raise CommitUnknown from error
    finally:
        connection.remove_notice_handler(warnings.append)
    if any(warning.sqlstate == "01000" for warning in warnings):
        # A synchronous standby was given up on: the row is here and may be lost in a fail-over.
        raise CommitUnknown


def _was_refused(error: psycopg.Error) -> bool:
    """Tell whether the server said no before the commit; a connection that broke says nothing."""
    return error.sqlstate is not None and error.sqlstate[:2] in {
        "22",
        "23",
        "25",
        "40",
        "55",
    }


def _columns(rows: Iterable[_Row]) -> tuple[list[Any], ...]:
    values = [
        (
            row.draft.room_uid,
            row.entry.seq,
            row.ordinal,
            row.draft.sender_uid,
            row.draft.request_id,
            row.draft.content_hash,
            row.entry.time,
            row.entry.message,
        )
        for row in rows
    ]
    return tuple(list(column) for column in zip(*values, strict=True))
