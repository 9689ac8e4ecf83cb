"""What a user has missed since a version of the changes, in one statement: it costs what was missed, not what there is.

The changes about the user, and those in the rooms that they are or were in since, are each found by an index.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, cast, exists, func, literal, null, or_, select, true, union, union_all
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import BigInteger, Integer, Text

from services.rooms.model import Change, ChangeKind
from services.rooms.recorded_changes import change_of
from services.rooms.tables import change_counter, changes, deleted_memberships, memberships
from services.runtime.data.database import Database
from services.runtime.ids import RoomId, RoomUid

_user_id = bindparam("user_id", type_=Text)
_after = bindparam("after", type_=BigInteger)
_most = bindparam("most", type_=Integer)

_mine = select(memberships.c.room_uid, memberships.c.room_id).where(memberships.c.user_id == _user_id).cte("mine")
_own = select(changes).where(changes.c.user_id == _user_id, changes.c.version > _after).limit(_most).cte("own")
_rooms = union(select(_mine.c.room_uid), select(_own.c.room_uid).where(_own.c.room_uid.is_not(None))).subquery("rooms")
_in_room = (
    select(changes)
    .where(changes.c.room_uid == _rooms.c.room_uid, changes.c.version > _after)
    .limit(_most)
    .lateral("in_room")
)
_in_rooms = select(_in_room).select_from(_rooms.join(_in_room, true())).limit(_most).cte("in_rooms")
# A room of the user stands there as a change of no kind.
_as_change = [
    _mine.c[column.name] if column.name in _mine.c else cast(null(), column.type).label(column.name)
    for column in changes.c
]
_found = union_all(select(union(select(_own), select(_in_rooms)).subquery("missed")), select(*_as_change)).subquery(
    "found"
)
# As they stand in the condition of the index: kinds of later releases, and rooms whose members nobody has noted.
_last_kind, _deletion = (
    literal(int(kind), literal_execute=True) for kind in (max(ChangeKind), ChangeKind.ROOM_DELETED)
)
_of_anybody = (changes.c.kind > _last_kind) & changes.c.room_uid.is_(None) | (changes.c.kind == _deletion) & (
    changes.c.room_id.is_(None)
)
_MISSED = select(
    change_counter.c.version.label("head"),
    select(func.min(changes.c.version)).scalar_subquery().label("oldest"),
    or_(
        exists().where(changes.c.version > _after, _of_anybody),
        exists().where(deleted_memberships.c.user_id == _user_id, deleted_memberships.c.version > _after),
    ).label("is_untold"),
    *_found.c,
).select_from(change_counter.outerjoin(_found, true()))

_others = memberships.alias("others")
_ACQUAINTED = (
    select(_others.c.user_id)
    .join(memberships, memberships.c.room_uid == _others.c.room_uid)
    .where(
        memberships.c.user_id == _user_id,
        _others.c.user_id.in_(select(func.unnest(bindparam("user_ids", type_=ARRAY(Text))))),
    )
    .distinct()
)


@dataclass(frozen=True, slots=True)
class Missed:
    """The changes after a version that concern a user, oldest first, and the user's rooms after them."""

    # The version that all of it is of.
    version: int
    changes: Sequence[Change]
    rooms: Mapping[RoomUid, RoomId]
    # Whether those are all: whether the changes are kept that long, and can be found.
    is_whole: bool


class MissedStore:
    """Reads what those have missed who were away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def missed(self, user_id: str, after: int, most: int) -> Missed:
        """Return the changes after a version that concern a user; where there are more than so many, not all."""
        async with self._database.reading() as connection:
            values = {"user_id": user_id, "after": after, "most": most + 1}
            found = (await connection.execute(_MISSED, values)).all()
        first = found[0]
        missed = sorted((change_of(row) for row in found if row.kind is not None), key=lambda change: change.version)
        is_kept = after == first.head or (after < first.head and first.oldest is not None and first.oldest <= after + 1)
        rooms = {row.room_uid: row.room_id for row in found if row.kind is None and row.room_uid is not None}
        return Missed(first.head, missed, rooms, is_kept and not first.is_untold and len(missed) <= most)

    async def acquainted(self, user_id: str, user_ids: Collection[str]) -> set[str]:
        """Return those of some users who share a room with a user."""
        async with self._database.reading() as connection:
            values = {"user_id": user_id, "user_ids": list(user_ids)}
            return set((await connection.execute(_ACQUAINTED, values)).scalars())
