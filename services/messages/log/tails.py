"""Reads of the ends of many rooms' logs, each with bounds of its own, in one statement for all of them.

In SQL as it is, because the rooms' bounds reach into the subqueries of a lateral join.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.messages.log.store import LogStretch, entry_of, stretch_of
from services.messages.log.tables import shown_request_id
from services.messages.model import LogEntry
from services.runtime.data.database import Database
from services.runtime.data.query import Query
from services.runtime.ids import RoomUid

# The kind of a creation is 1, as in EventKind.
_TAILS = Query(f"""
    SELECT a.room_uid, h.seq AS head_seq, h.oldest_seq,
        l.seq, l.kind, l.time, l.message_seq, l.revision, l.is_deleted, l.message, l.request_id
    FROM unnest(CAST(:room_uids AS uuid[]), CAST(:seqs AS bigint[]), CAST(:mosts AS bigint[]))
        AS a (room_uid, after_seq, most)
    JOIN messages.heads AS h USING (room_uid)
    LEFT JOIN LATERAL (
        (SELECT m.seq, 1 AS kind, m.create_time AS time, m.seq AS message_seq,
            coalesce(m.revision, m.seq) AS revision, m.delete_time IS NOT NULL AS is_deleted, m.message,
            {shown_request_id("m")} AS request_id
        FROM messages.messages AS m
        WHERE m.room_uid = a.room_uid AND m.seq > a.after_seq
        ORDER BY m.seq DESC LIMIT a.most)
        UNION ALL
        (SELECT e.seq, e.kind, e.time, e.message_seq,
            coalesce(m.revision, m.seq), m.delete_time IS NOT NULL, m.message, {shown_request_id("m")}
        FROM messages.events AS e
        LEFT JOIN messages.messages AS m ON m.room_uid = e.room_uid AND m.seq = e.message_seq
        WHERE e.room_uid = a.room_uid AND e.seq > a.after_seq
        ORDER BY e.seq DESC LIMIT a.most)
        ORDER BY seq DESC LIMIT a.most
    ) AS l ON true
    ORDER BY a.room_uid, l.seq
""")  # noqa: S608 - literals above
_MESSAGES = Query(f"""
    SELECT a.room_uid, l.seq, 1 AS kind, l.create_time AS time, l.seq AS message_seq,
        coalesce(l.revision, l.seq) AS revision, false AS is_deleted, l.message, l.request_id
    FROM unnest(CAST(:room_uids AS uuid[]), CAST(:seqs AS bigint[]), CAST(:mosts AS bigint[]))
        AS a (room_uid, before_seq, most)
    JOIN LATERAL (
        SELECT m.seq, m.create_time, m.revision, m.message, {shown_request_id("m")} AS request_id
        FROM messages.messages AS m
        WHERE m.room_uid = a.room_uid AND m.seq < a.before_seq AND m.delete_time IS NULL
        ORDER BY m.seq DESC LIMIT a.most
    ) AS l ON true
    ORDER BY a.room_uid, l.seq
""")  # noqa: S608 - literals above


@dataclass(frozen=True, slots=True)
class TailRequest:
    """Of one room, so many entries after a seq, or so many messages before it: the newest ones."""

    room_uid: RoomUid
    seq: int
    most: int


class TailsStore:
    """The ends of many logs in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def tails(self, asked: Sequence[TailRequest]) -> Mapping[RoomUid, LogStretch]:
        """Return the heads of several logs and the last entries of each after a seq, all of one moment."""
        by_room: dict[RoomUid, list[Any]] = {ask.room_uid: [] for ask in asked}
        for row in await self._database.rows(_TAILS, _parameters(asked)):
            by_room[row.room_uid].append(row)
        return {room_uid: stretch_of(rows) for room_uid, rows in by_room.items()}

    async def messages(self, asked: Sequence[TailRequest]) -> Mapping[RoomUid, list[LogEntry]]:
        """Return the entries of the last messages of each room before a seq that are not deleted, oldest first."""
        by_room: dict[RoomUid, list[LogEntry]] = {ask.room_uid: [] for ask in asked}
        for row in await self._database.rows(_MESSAGES, _parameters(asked)):
            by_room[row.room_uid].append(entry_of(row))
        return by_room


def _parameters(asked: Sequence[TailRequest]) -> dict[str, Any]:
    return {
        "room_uids": [ask.room_uid for ask in asked],
        "seqs": [ask.seq for ask in asked],
        "mosts": [ask.most for ask in asked],
    }
