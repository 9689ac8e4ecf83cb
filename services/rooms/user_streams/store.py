"""What SubscribeUser reads: a user's rooms with their members and the version that they are of, in one statement.

One statement has one snapshot. So the state is exactly that of its version, however many rooms there are.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, case, cast, func, select, true
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by
from sqlalchemy.types import Text, Uuid

from services.rooms.model import Change, RoomView
from services.rooms.recorded_changes import change_log
from services.rooms.tables import ROOM_COLUMNS, change_counter, memberships, room_of, rooms
from services.runtime.data.database import Database
from services.runtime.data.query import Query
from services.runtime.ids import RoomUid
from services.runtime.steps import Leisure

# About a millisecond.
_ROWS_AT_ONCE = 75

_uids = bindparam("uids", type_=ARRAY(Uuid))
_with_members = bindparam("with_members", type_=ARRAY(Uuid))
_mine = select(memberships.c.room_uid).where(memberships.c.user_id == bindparam("user_id", type_=Text)).subquery("mine")
_others = memberships.alias("others")
# One text for each room: an array's elements would all be read in the step in which the rows come.
_members = (
    select(cast(func.json_agg(aggregate_order_by(_others.c.user_id, _others.c.user_id)), Text))
    .where(_others.c.room_uid == rooms.c.uid)
    .scalar_subquery()
)
# The version is there without rooms too.
_STATE = Query(
    select(
        change_counter.c.version, change_log.is_settled.label("is_settled"), *ROOM_COLUMNS, _members.label("member_ids")
    )
    .select_from(change_counter.outerjoin(_mine, true()).outerjoin(rooms, rooms.c.uid == _mine.c.room_uid))
    .order_by(rooms.c.id)
)
_VIEWS = Query(
    select(
        *ROOM_COLUMNS, case((rooms.c.uid == func.any(_with_members), _members), else_=None).label("member_ids")
    ).where(rooms.c.uid == func.any(_uids))
)
_ROOMS_OF = Query(
    select(memberships.c.user_id, memberships.c.room_uid).where(
        memberships.c.user_id == func.any(bindparam("user_ids", type_=ARRAY(Text)))
    )
)


@dataclass(frozen=True, slots=True)
class UserState:
    """A user's rooms in the order of their ids, as of a version of the changes."""

    version: int
    views: Sequence[RoomView]


class UserStateStore:
    """Reads rooms for those who follow them."""

    def __init__(self, database: Database, leisure: Leisure) -> None:
        self._database = database
        self._leisure = leisure

    async def state(self, user_id: str) -> UserState:
        """Return a user's rooms with their members, exactly as they were at the version."""
        found = await change_log.settled(self._database, _STATE, {"user_id": user_id})
        pace, views = self._leisure.pace(_ROWS_AT_ONCE), []
        for row in found:
            if row.uid is not None:
                views.append(_view(row))
                await pace.did()
        return UserState(found[0].version, views)

    async def views(self, uids: Collection[RoomUid], with_members: Collection[RoomUid]) -> dict[RoomUid, RoomView]:
        """Return rooms as they are now, some of them with their members; those that do not exist are missing."""
        values = {"uids": list(uids), "with_members": list(with_members)}
        return {row.uid: _view(row) for row in await self._database.rows(_VIEWS, values)}

    async def rooms_of(self, user_ids: Collection[str]) -> Mapping[str, Sequence[RoomUid]]:
        """Return the rooms of users."""
        found: dict[str, list[RoomUid]] = {user_id: [] for user_id in user_ids}
        for row in await self._database.rows(_ROOMS_OF, {"user_ids": list(user_ids)}):
            found[row.user_id].append(row.room_uid)
        return found

    async def changes_after(self, version: int, most: int) -> list[Change]:
        """Return the changes after a version, oldest first; those that were swept are missing at the start."""
        async with self._database.reading() as connection:
            return await change_log.after(connection, version, most)


def _view(row: Any) -> RoomView:
    return RoomView(room_of(row), json.loads(row.member_ids) if row.member_ids else ())
