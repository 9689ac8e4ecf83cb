"""What rooms hold for users, in PostgreSQL: one statement for a page of rooms, however long their logs are."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Text, Uuid, and_, bindparam, column, func, literal, literal_column, select, true
from sqlalchemy.dialects.postgresql import ARRAY

from services.messages import frames
from services.messages.log.tables import events, heads, messages, shown_request_id
from services.messages.model import EventKind
from services.messages.read_states.model import ReadState, Unread, unread
from services.messages.read_states.tables import CURSOR, cursor_of, read_cursors
from services.runtime.data.database import Database
from services.runtime.ids import RoomUid, UserUid

_asked = (
    func.unnest(bindparam("in_rooms", type_=ARRAY(Uuid)), bindparam("of_users", type_=ARRAY(Uuid)))
    .table_valued(column("room_uid", Uuid), column("user_uid", Uuid), with_ordinality="n", name="asked")
    .render_derived()
)
_of_user = and_(read_cursors.c.room_uid == _asked.c.room_uid, read_cursors.c.user_uid == _asked.c.user_uid)
_first = (
    select(messages.c.ordinal)
    .where(messages.c.room_uid == _asked.c.room_uid, messages.c.seq > func.coalesce(read_cursors.c.seq, 0))
    .order_by(messages.c.seq)
    .limit(1)
    .lateral("first")
)
_deleted = (
    select(func.count().label("count"))
    .where(
        events.c.room_uid == _asked.c.room_uid,
        events.c.ordinal >= _first.c.ordinal,
        # Written out, so that the partial index is used.
        events.c.kind == literal(int(EventKind.DELETED), literal_execute=True),
    )
    .lateral("deleted")
)
_last = (
    select(messages.c.message, literal_column(shown_request_id(messages.fullname), Text).label("request_id"))
    .where(messages.c.room_uid == _asked.c.room_uid, messages.c.delete_time.is_(None))
    .order_by(messages.c.seq.desc())
    .limit(1)
    .lateral("last")
)
# What `unread` counts by, of each room that is asked about.
_COUNTED = (
    func.coalesce(heads.c.ordinal, 0).label("head_ordinal"),
    _first.c.ordinal.label("first_ordinal"),
    _deleted.c.count.label("deleted"),
)
_rooms = (
    _asked.outerjoin(read_cursors, _of_user)
    .outerjoin(heads, heads.c.room_uid == _asked.c.room_uid)
    .outerjoin(_first, true())
    .join(_deleted, true())
)
_UNREAD = select(*_COUNTED).select_from(_rooms)
_STATES = (
    select(_asked.c.room_uid.label("asked_uid"), *CURSOR, *_COUNTED, _last.c.message, _last.c.request_id)
    .select_from(_rooms.outerjoin(_last, true()))
    .order_by(_asked.c.n)
)


class ReadStatesStore:
    """Reads of read states; of each log no more than its ends."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def states(self, pairs: Sequence[tuple[RoomUid, UserUid]]) -> list[ReadState]:
        """Return what rooms hold for users, in the order given and all of one moment."""
        async with self._database.reading() as connection:
            return [_state(row) for row in await connection.execute(_STATES, _asked_about(pairs))]

    async def unread(self, pairs: Sequence[tuple[RoomUid, UserUid]]) -> list[Unread]:
        """Return what is unread in rooms for users, in no order and all of one moment."""
        async with self._database.reading() as connection:
            return [_unread(row) for row in await connection.execute(_UNREAD, _asked_about(pairs))]


def _asked_about(pairs: Sequence[tuple[RoomUid, UserUid]]) -> dict[str, Any]:
    return {"in_rooms": [room_uid for room_uid, _ in pairs], "of_users": [user_uid for _, user_uid in pairs]}


def _unread(row: Any) -> Unread:
    return unread(row.head_ordinal, row.first_ordinal, row.deleted)


def _state(row: Any) -> ReadState:
    cursor = None if row.room_uid is None else cursor_of(row)
    last_message = frames.shown_message(row.message, row.request_id) if row.message is not None else None
    return ReadState(row.asked_uid, cursor, _unread(row), last_message)
