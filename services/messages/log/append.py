"""The one append function, for every writer of heads: a batch of writes in one transaction at READ COMMITTED.

Commit order is log order because a seq is given under the row lock of the room's head, in the transaction that writes
the row: no holes, no reordering. The statements go to psycopg's own connection, in one pipeline of two round trips;
through SQLAlchemy each of them costs about 140 microseconds more. The connection is in autocommit: psycopg's own BEGIN
and COMMIT would each cost a round trip as well.
"""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Any, assert_never

import psycopg

from services.messages import frames
from services.messages.log import edits
from services.messages.log.edits import Changes, request_id_reused
from services.messages.log.outcomes import Appended, Result
from services.messages.model import (
    Anonymization,
    Deletion,
    Draft,
    Edit,
    EventKind,
    LogEntry,
    MessageChange,
    Write,
    WriteKey,
)
from services.runtime.contract.absent import room_deleted, user_deleted
from services.runtime.contract.errors import ChatkitError
from services.runtime.ids import RoomUid, UserUid

_LOCK = """
    SELECT room_uid, seq, ordinal, last_time, is_erased FROM messages.heads
    WHERE room_uid = ANY(%b) ORDER BY room_uid FOR UPDATE
"""
# In order, so that writers over shared rooms wait for one another instead of deadlocking.
_LOCK_FREE_ONES = _LOCK + " SKIP LOCKED"
# A statement of its own, so that its snapshot is younger than the locks: merged into the one above it would miss what
# was committed while that one waited.
# It tells the senders who are deleted, too: see services/runtime/data/writers.py.
FIND_DUPLICATES = """
    SELECT clock_timestamp(), ARRAY(SELECT f.uid FROM messages.fences AS f WHERE f.uid = ANY(%b::uuid[])),
        m.room_uid, m.sender_uid, m.request_id, m.content_hash, m.seq, m.create_time, m.message,
        coalesce(m.revision, m.seq), m.delete_time IS NOT NULL
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


@dataclass(slots=True)
class _Head:
    seq: int
    ordinal: int
    last_time: datetime | None
    is_erased: bool
    is_moved: bool = False

    def advance(self, time: datetime) -> tuple[int, datetime]:
        """Give away the next place in the log."""
        self.seq += 1
        # The wall clock may step back; the log's time does not.
        self.last_time = time if self.last_time is None else max(self.last_time, time)
        self.is_moved = True
        return self.seq, self.last_time


@dataclass(frozen=True, slots=True)
class _Row:
    draft: Draft
    entry: LogEntry
    # The message as its row has it.
    stored: bytes
    ordinal: int


@dataclass(slots=True)
class Progress:
    """How far a transaction has come."""

    # When it had locked and read what it needs, by the monotonic clock.
    locked_at: float = 0.0


class CommitUnknown(Exception):
    """The commit was asked for, and nobody knows whether it happened."""


async def make_head(connection: Connection, room_uid: RoomUid) -> None:
    """Make a room's head in a transaction of its own: made inside the append, two of them deadlock."""
    await connection.execute(_MAKE_HEAD, (room_uid,))


async def append(
    connection: Connection, writes: Sequence[Write], *, wait_ms: int | None, progress: Progress | None = None
) -> dict[WriteKey, Result]:
    """Append writes, whose keys must differ, and return what became of each.

    With `wait_ms` None, writes to rooms whose heads are locked are left out of the answer; else their locks are waited
    for. Raises CommitUnknown or psycopg's errors; after the latter nothing has happened.
    """
    warnings: list[psycopg.errors.Diagnostic] = []
    connection.add_notice_handler(warnings.append)
    results: dict[WriteKey, Result] | None = None
    try:
        async with connection.pipeline():
            batch = await _lock(connection, writes, wait_ms)
            if progress is not None:
                progress.locked_at = monotonic()
            results = {write.key: batch.place(write) for write in writes if write.room_uid in batch.heads}
            await _end(connection, batch)
    except psycopg.Error as error:
        if results is None or _was_refused(error):
            raise
        raise CommitUnknown from error
    finally:
        connection.remove_notice_handler(warnings.append)
    if any(warning.sqlstate == "01000" for warning in warnings):
        # A synchronous standby was given up on: the row is here and may be lost in a fail-over.
        raise CommitUnknown
    return results


class _Batch:
    """What a transaction has read under its locks, and what it is going to write."""

    def __init__(
        self,
        heads: Mapping[RoomUid, _Head],
        time: datetime,
        known: Mapping[tuple[RoomUid, UserUid, str], tuple[bytes, LogEntry]],
        found: Changes,
        deleted_senders: AbstractSet[UserUid],
    ) -> None:
        self.heads = heads
        self.rows: list[_Row] = []
        self.changes = found
        self._time = time
        self._known = known
        self._deleted_senders = deleted_senders

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return not (self.rows or self.changes)

    def place(self, write: Write) -> Result:
        """Give a write its place in the log, unless it has one or needs none."""
        head = self.heads[write.room_uid]
        if head.is_erased:
            return room_deleted(write.room_id)
        match write:
            case Draft() if write.sender_uid in self._deleted_senders:
                return user_deleted()
            case Draft():
                repeated = self._known.get(write.key)
                return self._send(write, head) if repeated is None else repetition(write, *repeated)
            case Edit() | Deletion() | Anonymization():
                return self._change(write, head)
            case _:
                assert_never(write)

    def _change(self, change: MessageChange, head: _Head) -> Result:
        answer = self.changes.without(change)
        if isinstance(answer, ChatkitError):
            return answer
        if answer is not None:
            return Appended(answer, is_new=False)
        return Appended(self.changes.apply(change, *head.advance(self._time)), is_new=True)

    def _send(self, draft: Draft, head: _Head) -> Result:
        seq, time = head.advance(draft.time or self._time)
        head.ordinal += 1
        stored = frames.placed_message(draft.unplaced, seq, time)
        entry = LogEntry.created(seq, time, frames.shown_message(stored, draft.request_id))
        self.rows.append(_Row(draft, entry, stored, head.ordinal))
        return Appended(entry, is_new=True)


async def _lock(connection: Connection, writes: Sequence[Write], wait_ms: int | None) -> _Batch:
    drafts = [write for write in writes if isinstance(write, Draft)]
    others = [write for write in writes if not isinstance(write, Draft)]
    await connection.execute("BEGIN")
    if wait_ms is not None:
        await connection.execute(f"SET LOCAL lock_timeout = {wait_ms:d}")
    rooms = sorted({write.room_uid for write in writes})
    locked = await connection.execute(_LOCK_FREE_ONES if wait_ms is None else _LOCK, (rooms,))
    duplicates = await connection.execute(FIND_DUPLICATES, keys_of(drafts))
    targets = await connection.execute(edits.FIND, edits.wanted(others)) if others else None
    # The first read fetches for all of them.
    heads = {uid: _Head(*columns) for uid, *columns in await locked.fetchall()}
    found = await duplicates.fetchall()
    changed = Changes(await targets.fetchall() if targets is not None else ())
    time, deleted_senders, *_ = found[0]
    return _Batch(heads, time, sent_before(found), changed, set(deleted_senders))


def keys_of(drafts: Sequence[Draft]) -> tuple[list[Any], ...]:
    """Return what FIND_DUPLICATES takes."""
    return (
        list({draft.sender_uid for draft in drafts}),
        [draft.room_uid for draft in drafts],
        [draft.sender_uid for draft in drafts],
        [draft.request_id for draft in drafts],
    )


def sent_before(found: Iterable[Sequence[Any]]) -> dict[tuple[RoomUid, UserUid, str], tuple[bytes, LogEntry]]:
    """Return, by their keys, the messages that FIND_DUPLICATES has found, and the hashes of what was sent."""
    return {
        (room_uid, sender_uid, request_id): (
            content_hash,
            LogEntry(
                seq=seq,
                time=time,
                message=frames.shown_message(message, None if is_deleted else request_id),
                kind=EventKind.CREATED,
                message_seq=seq,
                revision=revision,
                is_deleted=is_deleted,
            ),
        )
        for _, _, room_uid, sender_uid, request_id, content_hash, seq, time, message, revision, is_deleted in found
        if room_uid is not None
    }


def repetition(draft: Draft, content_hash: bytes, entry: LogEntry) -> Result:
    """Return what answers a draft whose key a stored message has."""
    if content_hash != draft.content_hash:
        return request_id_reused(draft.request_id)
    return Appended(entry, is_new=False)


async def _end(connection: Connection, batch: _Batch) -> None:
    """Write what there is to write, and end the transaction; what becomes of it is told when the pipeline ends."""
    if batch.is_empty:
        await connection.execute("ROLLBACK")
        return
    if batch.rows:
        await connection.execute(_INSERT, _columns(batch.rows))
    if batch.changes:
        await connection.execute(edits.INSERT, batch.changes.event_columns())
        await connection.execute(edits.UPDATE, batch.changes.message_columns())
        without_sender = batch.changes.without_sender()
        if without_sender is not None:
            await connection.execute(edits.FORGET_SENDERS, without_sender)
    await connection.execute(_MOVE_HEADS, _moved(batch.heads))
    await connection.execute("COMMIT")


def _moved(heads: Mapping[RoomUid, _Head]) -> tuple[list[Any], ...]:
    moved = {room_uid: head for room_uid, head in heads.items() if head.is_moved}
    return (
        list(moved),
        [head.seq for head in moved.values()],
        [head.ordinal for head in moved.values()],
        [head.last_time for head in moved.values()],
    )


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
            row.stored,
        )
        for row in rows
    ]
    return tuple(list(column) for column in zip(*values, strict=True))
