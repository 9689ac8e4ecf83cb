"""What a user has missed since a version of the changes, in one statement: it costs what was missed, not what there is.

The changes about the user, and those in the rooms that they are or were in since, are each found by an index. Users who
come at once, as after a restart, are asked about together: most have missed only the last few changes of all, which are
read once and looked through for each of them.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, cast, column, exists, func, literal_column, null, or_, select, true, union, union_all
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import BigInteger, Integer, SmallInteger, Text

from services.rooms.model import Change, ChangeKind
from services.rooms.recorded_changes import change_log, change_of
from services.rooms.tables import change_counter, changes, deleted_memberships, memberships
from services.rooms.user_streams.store import UserStateStore
from services.runtime.data.coalesced_reads import CoalescedReads
from services.runtime.data.database import Database
from services.runtime.data.query import Query
from services.runtime.ids import RoomId, RoomUid
from services.runtime.steps import Leisure

# Where more was missed than this, the state is sent.
MOST_MISSED = 500
# How many are asked about together, and how many of the last changes of all are read for that.
_USERS_AT_ONCE, _MOST_RECENT = 50, 1_000
# Users whose rooms are read together for all who may share one with them.
_MOST_ACQUAINTED = 100
# How many rooms count as much as one thing.
_ROOMS = 50

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
_last_kind = literal_column(str(int(max(ChangeKind))), SmallInteger)
_deletion = literal_column(str(int(ChangeKind.ROOM_DELETED)), SmallInteger)
_of_anybody = (changes.c.kind > _last_kind) & changes.c.room_uid.is_(None) | (changes.c.kind == _deletion) & (
    changes.c.room_id.is_(None)
)
_MISSED = Query(
    select(
        change_counter.c.version.label("head"),
        change_log.is_settled.label("is_settled"),
        select(func.min(changes.c.version)).scalar_subquery().label("oldest"),
        or_(
            exists().where(changes.c.version > _after, _of_anybody),
            exists().where(deleted_memberships.c.user_id == _user_id, deleted_memberships.c.version > _after),
        ).label("is_untold"),
        *_found.c,
    ).select_from(change_counter.outerjoin(_found, true()))
)

_many = (
    func.unnest(bindparam("user_ids", type_=ARRAY(Text)))
    .table_valued(column("user_id", Text), name="asked")
    .render_derived()
)
# One text for each user: an array's elements would all be read in the step in which the rows come.
_rooms_of_each = (
    select(cast(func.json_agg(func.json_build_array(memberships.c.room_uid, memberships.c.room_id)), Text))
    .where(memberships.c.user_id == _many.c.user_id)
    .scalar_subquery()
)
_last_untold = (
    select(func.max(deleted_memberships.c.version))
    .where(deleted_memberships.c.user_id == _many.c.user_id)
    .scalar_subquery()
)
# A user stands there as a change of no kind, whose version is that of the last deletion of a room of theirs.
_of_user = {"version": func.coalesce(_last_untold, 0), "user_id": _many.c.user_id}
_each_as_change = [_of_user.get(one.name, cast(null(), one.type)).label(one.name) for one in changes.c]
_recent = (
    select(changes).where(changes.c.version > _after).order_by(changes.c.version.desc()).limit(_most).subquery("recent")
)
_found_together = union_all(
    select(*_recent.c, cast(null(), Text).label("rooms")), select(*_each_as_change, _rooms_of_each.label("rooms"))
).subquery("found")
_MISSED_TOGETHER = Query(
    select(
        change_counter.c.version.label("head"),
        change_log.is_settled.label("is_settled"),
        select(func.min(changes.c.version)).scalar_subquery().label("oldest"),
        *_found_together.c,
    ).select_from(change_counter.join(_found_together, true()))
)

_others = memberships.alias("others")
_ACQUAINTED = Query(
    select(_others.c.user_id)
    .join(memberships, memberships.c.room_uid == _others.c.room_uid)
    .where(
        memberships.c.user_id == _user_id,
        _others.c.user_id.in_(select(func.unnest(bindparam("user_ids", type_=ARRAY(Text))))),
    )
    .distinct()
)


# A user, and the version after which something may have been missed.
Asked = tuple[str, int]


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

    def __init__(self, database: Database, store: UserStateStore, leisure: Leisure) -> None:
        self._database = database
        self._leisure = leisure
        self._together: CoalescedReads[Asked, dict[Asked, Missed]] = CoalescedReads(
            self.missed_together, most_keys=_USERS_AT_ONCE
        )
        self._rooms_of: CoalescedReads[str, Mapping[str, Sequence[RoomUid]]] = CoalescedReads(
            store.rooms_of, most_keys=_MOST_ACQUAINTED
        )

    async def run(self) -> None:
        """Answer those who ask at once, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._together.run())
            group.create_task(self._rooms_of.run())

    async def missed(self, user_id: str, after: int) -> Missed:
        """Return the changes after a version that concern a user; where there are more than MOST_MISSED, not all."""
        asked = user_id, after
        return (await self._together.ask([asked])).get(asked) or await self.missed_alone(user_id, after)

    async def missed_alone(self, user_id: str, after: int) -> Missed:
        """Return what one user has missed, however many changes there were of others."""
        found = await change_log.settled(
            self._database, _MISSED, {"user_id": user_id, "after": after, "most": MOST_MISSED + 1}
        )
        first = found[0]
        missed = sorted((change_of(row) for row in found if row.kind is not None), key=_by_version)
        rooms = {row.room_uid: row.room_id for row in found if row.kind is None and row.room_uid is not None}
        is_whole = _is_kept(first, after) and not first.is_untold and len(missed) <= MOST_MISSED
        return Missed(first.head, missed, rooms, is_whole)

    async def missed_together(self, asked: Collection[Asked]) -> dict[Asked, Missed]:
        """Return what some have missed; without those for whom too much has happened since, and for one alone nothing.

        They are looked up one by one.
        """
        if len(asked) == 1:
            return {}
        values = {
            "user_ids": list({user_id for user_id, _ in asked}),
            "after": min(after for _, after in asked),
            "most": _MOST_RECENT,
        }
        found = await change_log.settled(self._database, _MISSED_TOGETHER, values)
        recent = _Recent([row for row in found if row.kind is not None])
        users = {row.user_id: row for row in found if row.kind is None}
        pace, answers = self._leisure.pace(), dict[Asked, Missed]()
        for user_id, after in asked:
            user = users[user_id]
            if recent.reaches(after):
                rooms = {RoomUid(UUID(uid)): RoomId(room_id) for uid, room_id in json.loads(user.rooms or "[]")}
                missed = recent.of(user_id, rooms, after)
                is_told = user.version <= after and recent.last_of_anybody <= after
                is_whole = _is_kept(user, after) and is_told and len(missed) <= MOST_MISSED
                answers[user_id, after] = Missed(user.head, missed, rooms, is_whole)
                await pace.did(1 + len(rooms) // _ROOMS)
        return answers

    async def acquainted(self, user_id: str, rooms: AbstractSet[RoomUid], user_ids: Collection[str]) -> set[str]:
        """Return those of some users who share a room with a user, who is in some rooms."""
        if len(user_ids) <= _MOST_ACQUAINTED:
            rooms_of = await self._rooms_of.ask(user_ids)
            return {one for one in user_ids if not rooms.isdisjoint(rooms_of[one])}
        rows = await self._database.rows(_ACQUAINTED, {"user_id": user_id, "user_ids": list(user_ids)})
        return {row.user_id for row in rows}


class _Recent:
    """The last changes of all, by whom and by the room that they concern."""

    def __init__(self, newest_first: Sequence[Any]) -> None:
        self._by_user: defaultdict[str, list[Change]] = defaultdict(list)
        self._by_room: defaultdict[RoomUid, list[Change]] = defaultdict(list)
        # The last one that may concern anybody; 0 where there is none.
        self.last_of_anybody = 0
        # The oldest change, where there may be older ones.
        self._since = newest_first[-1].version if len(newest_first) == _MOST_RECENT else 0
        for row in reversed(newest_first):
            change = change_of(row)
            if change.user_id is not None:
                self._by_user[change.user_id].append(change)
            if change.room_uid is not None:
                self._by_room[change.room_uid].append(change)
            if _is_of_anybody(row):
                self.last_of_anybody = row.version

    def reaches(self, after: int) -> bool:
        """Tell whether all changes after a version are there."""
        return self._since <= after + 1

    def of(self, user_id: str, rooms: Collection[RoomUid], after: int) -> list[Change]:
        """Return the changes after a version that concern a user who is in some rooms by now, oldest first."""
        own = self._by_user.get(user_id, ())
        found = {change.version: change for change in own if change.version > after}
        were_in = {change.room_uid for change in found.values() if change.room_uid is not None}
        for room_uid in were_in.union(rooms) & self._by_room.keys():
            found |= {change.version: change for change in self._by_room[room_uid] if change.version > after}
        return sorted(found.values(), key=_by_version)


def _is_of_anybody(row: Any) -> bool:
    if row.kind > max(ChangeKind):
        return row.room_uid is None
    return row.kind == ChangeKind.ROOM_DELETED and row.room_id is None


def _is_kept(row: Any, after: int) -> bool:
    """Tell whether the changes after a version are kept, by the row of an answer."""
    return after == row.head or (after < row.head and row.oldest is not None and row.oldest <= after + 1)


def _by_version(change: Change) -> int:
    return change.version
