"""What rooms hold for users, in PostgreSQL: one statement for a page of rooms, however long their logs are.

In SQL as it is, because each room's cursor reaches into the subqueries of lateral joins.
"""

from collections.abc import Sequence
from typing import Any

from services.messages import frames
from services.messages.log.store import array
from services.messages.log.tables import shown_request_id
from services.messages.read_states.model import MOST_COUNTED, ReadState, unread
from services.messages.read_states.tables import cursor_of
from services.runtime.data.database import Database
from services.runtime.data.query import Query
from services.runtime.ids import RoomUid, UserUid

# How many events of a log, from the first message after the cursor on, are looked at where one's own are left out. They
# are bounded by their seqs, because of a LIMIT the planner might think that it pays to sort all that follows.
LOOKED_AT = 4 * MOST_COUNTED
# The kind of a deletion is 3, as in EventKind; it is written out, so that the partial index is used.
_STATES = Query(f"""
    SELECT a.room_uid AS asked_uid, c.room_uid, c.user_uid, c.user_id, c.seq, c.revision, c.update_time,
        coalesce(h.ordinal, 0) AS head_ordinal, rest.ordinal AS rest_ordinal, deleted.count AS deleted,
        others.count AS others, last.message, last.request_id
    FROM unnest(CAST(:room_uids AS uuid[]), CAST(:user_uids AS uuid[])) WITH ORDINALITY AS a (room_uid, user_uid, n)
    LEFT JOIN messages.read_cursors AS c ON c.room_uid = a.room_uid AND c.user_uid = a.user_uid
    LEFT JOIN messages.heads AS h ON h.room_uid = a.room_uid
    LEFT JOIN LATERAL (
        SELECT m.seq, m.ordinal FROM messages.messages AS m
        WHERE m.room_uid = a.room_uid AND m.seq > coalesce(c.seq, 0) ORDER BY m.seq LIMIT 1
    ) AS first ON true
    LEFT JOIN LATERAL (
        SELECT m.ordinal FROM messages.messages AS m
        WHERE m.room_uid = a.room_uid AND m.seq >= first.seq AND m.seq < first.seq + :looked_at
        ORDER BY m.seq DESC LIMIT 1
    ) AS looked_at ON true
    CROSS JOIN LATERAL (SELECT coalesce(looked_at.ordinal + 1, first.ordinal) AS ordinal) AS rest
    CROSS JOIN LATERAL (
        SELECT count(*) FROM (
            SELECT FROM messages.messages AS m
            WHERE m.room_uid = a.room_uid AND m.seq >= first.seq AND m.seq < first.seq + :looked_at
                AND m.sender_uid <> a.user_uid AND m.delete_time IS NULL
            LIMIT :most
        ) AS counted
    ) AS others
    CROSS JOIN LATERAL (
        SELECT count(*) FROM messages.events AS e
        WHERE e.room_uid = a.room_uid AND e.ordinal >= rest.ordinal AND e.kind = 3
    ) AS deleted
    LEFT JOIN LATERAL (
        SELECT m.message, {shown_request_id("m")} AS request_id FROM messages.messages AS m
        WHERE m.room_uid = a.room_uid AND m.delete_time IS NULL AND :with_last_message ORDER BY m.seq DESC LIMIT 1
    ) AS last ON true
    ORDER BY a.n
""")  # noqa: S608 - a constant


class ReadStatesStore:
    """Reads of read states; of each log no more than its ends."""

    def __init__(self, database: Database, *, without_own_messages: bool = False) -> None:
        self._database = database
        self._looked_at = LOOKED_AT if without_own_messages else 0

    async def states(
        self, pairs: Sequence[tuple[RoomUid, UserUid]], *, with_last_message: bool = True
    ) -> list[ReadState]:
        """Return what rooms hold for users, in the order given and all of one moment."""
        values = {
            "room_uids": array(room_uid.hex for room_uid, _ in pairs),
            "user_uids": array(user_uid.hex for _, user_uid in pairs),
            "looked_at": self._looked_at,
            "most": MOST_COUNTED + 1,
            "with_last_message": with_last_message,
        }
        return [_state(row) for row in await self._database.rows(_STATES, values)]


def _state(row: Any) -> ReadState:
    cursor = None if row.room_uid is None else cursor_of(row)
    counted = unread(row.head_ordinal, row.rest_ordinal, row.deleted, row.others)
    last_message = frames.shown_message(row.message, row.request_id) if row.message is not None else None
    return ReadState(row.asked_uid, cursor, counted, last_message)
