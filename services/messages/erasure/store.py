"""The logs, cursors and references of rooms that are deleted, removed in small steps.

The head stays, as the fence: it says that its log was erased, and holds nothing of anybody. It is looked at under its
own lock by who appends, in the same statement by who moves a cursor or notes a reference.
"""

from sqlalchemy import Delete, Table, bindparam, delete, literal, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.types import BigInteger, Uuid

from services.messages.attachments.store import attachments
from services.messages.log.tables import events, heads, messages
from services.messages.read_states.tables import read_cursors
from services.runtime.data.database import Database
from services.runtime.ids import RoomUid

# Of each table: well below 50 ms.
_AT_ONCE = 500
_ROOM = bindparam("in_room", type_=Uuid)
# What is written without the head's lock, and what is written under it.
_UNLOCKED = (read_cursors, attachments)
UNLOCKED = [table.fullname for table in _UNLOCKED]
_ERASED = (messages, events, *_UNLOCKED)
_MAKE_HEAD = insert(heads).values(room_uid=_ROOM).on_conflict_do_nothing()
# The log is empty from now on, as one that retention has swept to its end.
_FENCE = (
    update(heads)
    .where(heads.c.room_uid == _ROOM, ~heads.c.is_erased)
    .values(is_erased=literal(value=True), oldest_seq=heads.c.seq + 1, last_time=None)
)


def _removal(table: Table) -> Delete:
    key = table.primary_key.columns
    some = select(*key).where(table.c.room_uid == _ROOM).limit(bindparam("most", type_=BigInteger))
    return delete(table).where(tuple_(*key).in_(some))


_REMOVALS = [_removal(table) for table in _ERASED]


class ErasureStore:
    """What is removed of rooms in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def fence(self, room_uid: RoomUid) -> None:
        """Let nothing be appended to a room's log any more, nor a cursor be set or a file be referred to in it."""
        async with self._database.transaction() as connection:
            await connection.execute(_MAKE_HEAD, {"in_room": room_uid})
            await connection.execute(_FENCE, {"in_room": room_uid})

    async def remove_some(self, room_uid: RoomUid) -> int:
        """Remove some of what there is of a room, each table in a transaction of its own; return how much."""
        removed = 0
        for statement in _REMOVALS:
            async with self._database.transaction() as connection:
                removed += (await connection.execute(statement, {"in_room": room_uid, "most": _AT_ONCE})).rowcount
        return removed
