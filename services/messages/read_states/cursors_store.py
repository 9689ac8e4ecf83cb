"""Read cursors in PostgreSQL: how far users have read, and who has moved.

Cursors are no part of the log: nothing here takes a seq or locks a head.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Text,
    Uuid,
    and_,
    bindparam,
    cast,
    column,
    exists,
    func,
    literal,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert

from services.messages.log.tables import fences, heads
from services.messages.read_states.model import Move, Moved, ReadCursor
from services.messages.read_states.tables import CURSOR, TransactionId, cursor_of, read_cursors
from services.runtime.data.database import Database
from services.runtime.data.query import Query
from services.runtime.ids import RoomUid, UserUid

_CURSOR_ROW = (*CURSOR, read_cursors.c.moved_xid)
_ROOM = bindparam("in_room", type_=Uuid)
_USER = bindparam("of_user", type_=Uuid)
_MOST = bindparam("most", type_=BigInteger)
_ROOMS = bindparam("in_rooms", type_=ARRAY(Uuid))
_USERS = bindparam("of_users", type_=ARRAY(Uuid))


def _move() -> Any:
    head_seq = select(heads.c.seq).where(heads.c.room_uid == _ROOM).scalar_subquery()
    is_erased = exists().where(heads.c.room_uid == _ROOM, heads.c.is_erased)
    is_deleted = exists().where(fences.c.uid == _USER)
    row = select(
        _ROOM,
        _USER,
        bindparam("called", type_=Text),
        func.least(bindparam("to_seq", type_=BigInteger), func.coalesce(head_seq, 0)),
        literal(1),
        func.clock_timestamp(),
        func.pg_current_xact_id(),
    )
    # In the statement that writes: see services/runtime/data/writers.py.
    first = insert(read_cursors).from_select(
        [column.name for column in _CURSOR_ROW], row.where(~is_erased, ~is_deleted)
    )
    to = first.excluded
    backward = and_(bindparam("backward", type_=Boolean), to.seq < read_cursors.c.seq)
    # The row is locked before it is compared: of two moves at once the second one sees the first.
    return first.on_conflict_do_update(
        index_elements=[read_cursors.c.room_uid, read_cursors.c.user_uid],
        set_={
            "seq": to.seq,
            "revision": read_cursors.c.revision + 1,
            "update_time": func.greatest(read_cursors.c.update_time, func.clock_timestamp()),
            "moved_xid": func.pg_current_xact_id(),
        },
        where=or_(to.seq > read_cursors.c.seq, backward),
    ).returning(*CURSOR)


_MOVE = _move()
_FIND = select(*CURSOR).where(read_cursors.c.room_uid == _ROOM, read_cursors.c.user_uid == _USER)
_FIND_ALONE = Query(_FIND)
_IS_DELETED = Query(select(exists().where(fences.c.uid == _USER).label("is_deleted")))
_OF_ROOM = Query(
    select(*CURSOR)
    .where(read_cursors.c.room_uid == _ROOM, read_cursors.c.user_uid > bindparam("after", type_=Uuid))
    .order_by(read_cursors.c.user_uid)
    .limit(_MOST)
)
_OF_USER = Query(select(*CURSOR).where(read_cursors.c.room_uid == func.any(_ROOMS), read_cursors.c.user_uid == _USER))

_pairs = (
    func.unnest(_ROOMS, _USERS)
    .table_valued(column("room_uid", Uuid), column("user_uid", Uuid), name="pairs")
    .render_derived()
)
_OF_PAIRS = Query(
    select(*CURSOR).join(
        _pairs, and_(read_cursors.c.room_uid == _pairs.c.room_uid, read_cursors.c.user_uid == _pairs.c.user_uid)
    )
)

# What a transaction of at least `horizon` did may not be visible in this snapshot; whatever is visible is below `top`.
# So nothing that commits late is passed over, which a time or a counter could not promise.
_now = func.pg_current_snapshot()
_snapshot = select(
    cast(func.pg_snapshot_xmin(_now), Text).label("horizon"), func.pg_snapshot_xmax(_now).label("top")
).subquery("snapshot")
_HORIZON = Query(select(_snapshot.c.horizon))
_SINCE = cast(bindparam("since", type_=Text), TransactionId)
_MOVED = Query(
    select(_snapshot.c.horizon, *CURSOR).select_from(
        _snapshot.outerjoin(
            read_cursors,
            and_(
                read_cursors.c.room_uid == func.any(_ROOMS),
                read_cursors.c.moved_xid >= _SINCE,
                # In a database that was restored, rows may name transactions that are still to come.
                read_cursors.c.moved_xid < _snapshot.c.top,
            ),
        )
    )
)
_in_rooms = func.unnest(_ROOMS).table_valued(column("room_uid", Uuid), name="in_rooms").render_derived()
_newest = (
    select(*CURSOR)
    .where(read_cursors.c.room_uid == _in_rooms.c.room_uid)
    .order_by(read_cursors.c.moved_xid.desc())
    .limit(_MOST)
    .lateral("newest")
)
_NEWEST = Query(
    select(_snapshot.c.horizon, *_newest.c).select_from(_snapshot.outerjoin(_in_rooms.join(_newest, true()), true()))
)


class ReadCursorsStore:
    """The table of read cursors in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def move(self, move: Move) -> tuple[ReadCursor, bool] | None:
        """Move a cursor, not beyond the end of the log; return it as it is now, and whether it has moved.

        None where the room or the user was deleted.
        """
        values = {
            "in_room": move.room_uid,
            "of_user": move.user_uid,
            "called": move.user_id,
            "to_seq": move.seq,
            "backward": move.allow_backward,
        }
        async with self._database.transaction() as connection:
            row = (await connection.execute(_MOVE, values)).one_or_none()
            if row is not None:
                return cursor_of(row), True
            # A statement of its own, which sees the row that the first one came upon.
            found = await connection.execute(_FIND, {"in_room": move.room_uid, "of_user": move.user_uid})
            row = found.one_or_none()
            return (cursor_of(row), False) if row is not None else None

    async def is_deleted(self, user_uid: UserUid) -> bool:
        """Tell whether a user was deleted."""
        row = await self._database.row(_IS_DELETED, {"of_user": user_uid})
        return bool(row.is_deleted)

    async def find(self, room_uid: RoomUid, user_uid: UserUid) -> ReadCursor | None:
        """Return a user's cursor in a room, or None when it was never set."""
        row = await self._database.row(_FIND_ALONE, {"in_room": room_uid, "of_user": user_uid})
        return None if row is None else cursor_of(row)

    async def of_room(self, room_uid: RoomUid, after: UserUid, most: int) -> list[ReadCursor]:
        """Return cursors in a room by the users' uids, those of users who have left included."""
        rows = await self._database.rows(_OF_ROOM, {"in_room": room_uid, "after": after, "most": most})
        return [cursor_of(row) for row in rows]

    async def of_user(self, user_uid: UserUid, room_uids: Iterable[RoomUid]) -> dict[RoomUid, ReadCursor]:
        """Return a user's cursors in some rooms, by room."""
        rows = await self._database.rows(_OF_USER, {"of_user": user_uid, "in_rooms": list(room_uids)})
        return {row.room_uid: cursor_of(row) for row in rows}

    async def of_pairs(self, pairs: Iterable[tuple[RoomUid, UserUid]]) -> list[ReadCursor]:
        """Return the cursors of some rooms' users."""
        room_uids, user_uids = zip(*pairs, strict=True)
        rows = await self._database.rows(_OF_PAIRS, {"in_rooms": list(room_uids), "of_users": list(user_uids)})
        return [cursor_of(row) for row in rows]

    async def newest(self, room_uids: Sequence[RoomUid], most: int) -> Moved:
        """Return the cursors that moved last in some rooms, so many of each."""
        return _moved(await self._database.rows(_NEWEST, {"in_rooms": list(room_uids), "most": most}))

    async def moved_since(self, room_uids: Sequence[RoomUid], horizon: int) -> Moved:
        """Return the cursors in some rooms that have moved since an earlier look; some may have been seen before."""
        return _moved(await self._database.rows(_MOVED, {"in_rooms": list(room_uids), "since": str(horizon)}))

    async def horizon(self) -> int:
        """Return where a look for moves starts that is to see all from now on."""
        row = await self._database.row(_HORIZON)
        return int(row.horizon)


def _moved(rows: Sequence[Any]) -> Moved:
    return Moved([cursor_of(row) for row in rows if row.room_uid is not None], int(rows[0].horizon))
