"""What rooms hold for users, in PostgreSQL: one statement for a page of rooms, however long their logs are."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Uuid, and_, bindparam, column, func, literal, select, true
from sqlalchemy.dialects.postgresql import ARRAY

from services.messages.log.tables import events, heads, messages
from services.messages.model import EventKind
from services.messages.read_states.model import ReadState, unread
from services.messages.read_states.tables import CURSOR, cursor_of, read_cursors
from services.runtime.data.database import Database
from services.runtime.ids import RoomUid, UserUid


def _states() -> Any:
    asked = (
        func.unnest(bindparam("in_rooms", type_=ARRAY(Uuid)), bindparam("of_users", type_=ARRAY(Uuid)))
        .table_valued(column("room_uid", Uuid), column("user_uid", Uuid), with_ordinality="n", name="asked")
        .render_derived()
    )
    of_user = and_(read_cursors.c.room_uid == asked.c.room_uid, read_cursors.c.user_uid == asked.c.user_uid)
    first = (
        select(messages.c.ordinal)
        .where(messages.c.room_uid == asked.c.room_uid, messages.c.seq > func.coalesce(read_cursors.c.seq, 0))
        .order_by(messages.c.seq)
        .limit(1)
        .lateral("first")
    )
    deleted = (
        select(func.count().label("count"))
        .where(
            events.c.room_uid == asked.c.room_uid,
            events.c.ordinal >= first.c.ordinal,
            # Written out, so that the partial index is used.
            events.c.kind == literal(int(EventKind.DELETED), literal_execute=True),
        )
        .lateral("deleted")
    )
    last = (
        select(messages.c.message)
        .where(messages.c.room_uid == asked.c.room_uid, messages.c.delete_time.is_(None))
        .order_by(messages.c.seq.desc())
        .limit(1)
        .lateral("last")
    )
    return (
        select(
            asked.c.room_uid.label("asked_uid"),
            *CURSOR,
            func.coalesce(heads.c.ordinal, 0).label("head_ordinal"),
            first.c.ordinal.label("first_ordinal"),
            deleted.c.count.label("deleted"),
            last.c.message,
        )
        .select_from(
            asked.outerjoin(read_cursors, of_user)
            .outerjoin(heads, heads.c.room_uid == asked.c.room_uid)
            .outerjoin(first, true())
            .join(deleted, true())
            .outerjoin(last, true())
        )
        .order_by(asked.c.n)
    )


_STATES = _states()


class ReadStatesStore:
    """Reads of read states; of each log no more than its ends."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def states(self, pairs: Sequence[tuple[RoomUid, UserUid]]) -> list[ReadState]:
        """Return what rooms hold for users, in the order given and all of one moment."""
        values = {
            "in_rooms": [room_uid for room_uid, _ in pairs],
            "of_users": [user_uid for _, user_uid in pairs],
        }
        async with self._database.reading() as connection:
            return [_state(row) for row in await connection.execute(_STATES, values)]


def _state(row: Any) -> ReadState:
    cursor = None if row.room_uid is None else cursor_of(row)
    counted = unread(row.head_ordinal, row.first_ordinal, row.deleted)
    return ReadState(row.asked_uid, cursor, counted, row.message)
