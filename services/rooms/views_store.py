"""Rooms and memberships in PostgreSQL, as they are read: one by one, and in pages."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, exists, func, literal_column, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import BigInteger, Text, Uuid

from services.rooms.model import Room, RoomView, Visibility
from services.rooms.tables import ROOM_COLUMNS, memberships, room_of, rooms
from services.runtime.contract.errors import NotFound
from services.runtime.data.database import Database
from services.runtime.data.query import Query
from services.runtime.ids import RoomId, RoomUid, UserId

_of_uid = select(*ROOM_COLUMNS).where(rooms.c.uid == bindparam("uid", type_=Uuid))
GET_ROOM, LOCK_ROOM = Query(_of_uid), Query(_of_uid.with_for_update())
_after = bindparam("after", type_=Text)
_size = bindparam("size", type_=BigInteger)
_user_id = bindparam("user_id", type_=Text)
_RETENTION = Query(
    select(rooms.c.uid, rooms.c.retention_days).where(rooms.c.uid == func.any(bindparam("uids", type_=ARRAY(Uuid))))
)
# Written into the statement, because the index of public rooms is of no use to a plan that does not know the value.
_IS_PUBLIC = rooms.c.visibility == literal_column(str(int(Visibility.PUBLIC)))
_ROOMS_OF_USER = Query(
    select(*ROOM_COLUMNS)
    .join(memberships, memberships.c.room_uid == rooms.c.uid)
    .where(
        rooms.c.uid == func.any(bindparam("uids", type_=ARRAY(Uuid))),
        memberships.c.user_id == _user_id,
    )
)
_MEMBERS_OF = (
    select(memberships.c.room_uid, memberships.c.user_id)
    .where(memberships.c.room_uid == func.any(bindparam("uids", type_=ARRAY(Uuid))))
    .order_by(memberships.c.room_uid, memberships.c.user_id)
)
_MEMBERS = Query(_MEMBERS_OF)
_FIND = Query(select(*ROOM_COLUMNS).where(rooms.c.id == bindparam("room_id", type_=Text)))
_page = select(*ROOM_COLUMNS).where(rooms.c.id > _after).order_by(rooms.c.id).limit(_size)
_PAGE, _PUBLIC_PAGE = Query(_page), Query(_page.where(_IS_PUBLIC))
_MEMBER_PAGE = Query(
    select(memberships.c.user_id)
    .where(memberships.c.room_uid == bindparam("room_uid", type_=Uuid), memberships.c.user_id > _after)
    .order_by(memberships.c.user_id)
    .limit(_size)
)
# Ids alone, so that rooms which the user is in are passed over in two indexes and never read.
_joinable = (
    select(rooms.c.id)
    .where(_IS_PUBLIC, rooms.c.id > _after)
    .where(
        ~exists().where(
            memberships.c.user_id == _user_id,
            memberships.c.room_id == rooms.c.id,
            # Follows from the rest, but the planner does not see it and would walk from the first one.
            memberships.c.room_id > _after,
        )
    )
    .order_by(rooms.c.id)
    .limit(_size)
    .subquery()
)
_JOINABLE = Query(select(*ROOM_COLUMNS).join(_joinable, _joinable.c.id == rooms.c.id).order_by(rooms.c.id))
_of_user = (
    select(memberships.c.room_uid)
    .where(memberships.c.user_id == _user_id, memberships.c.room_id > _after)
    .order_by(memberships.c.room_id)
    .limit(_size)
    .subquery()
)
_PAGE_OF_USER = Query(select(*ROOM_COLUMNS).join(_of_user, _of_user.c.room_uid == rooms.c.uid).order_by(rooms.c.id))


class RoomViewStore:
    """Reads the tables of rooms and memberships; nothing is locked."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, uid: RoomUid) -> Room:
        """Return a room, or raise ROOM_NOT_FOUND."""
        row = await self._database.row(GET_ROOM, {"uid": uid})
        if row is None:
            raise _not_found()
        return room_of(row)

    async def view(self, uid: RoomUid) -> RoomView:
        """Return a room and its members, or raise ROOM_NOT_FOUND."""
        views = await self._views(GET_ROOM, {"uid": uid})
        if not views:
            raise _not_found()
        return views[0]

    async def find(self, room_id: RoomId) -> RoomView | None:
        """Return the room that has an id, and its members; or None."""
        views = await self._views(_FIND, {"room_id": room_id})
        return views[0] if views else None

    async def view_page(self, after: str, size: int) -> list[RoomView]:
        """Return rooms and their members by the rooms' ids, private ones too."""
        return await self._views(_PAGE, {"after": after, "size": size})

    async def retention(self, uids: Sequence[RoomUid]) -> dict[RoomUid, int | None]:
        """Return how many days messages are kept in those rooms that exist; None is the deployment's retention."""
        return {row.uid: row.retention_days for row in await self._database.rows(_RETENTION, {"uids": list(uids)})}

    async def member_page(self, room_uid: RoomUid, after: str, size: int) -> list[str]:
        """Return ids of members in the order of code points."""
        rows = await self._database.rows(_MEMBER_PAGE, {"room_uid": room_uid, "after": after, "size": size})
        return [row.user_id for row in rows]

    async def page(self, after: str, size: int, *, with_private: bool) -> list[Room]:
        """Return rooms by their ids, public ones only unless private ones are asked for too."""
        rows = await self._database.rows(_PAGE if with_private else _PUBLIC_PAGE, {"after": after, "size": size})
        return [room_of(row) for row in rows]

    async def joinable_page(self, user_id: UserId, after: str, size: int) -> list[RoomView]:
        """Return the public rooms that a user is not in, by their ids."""
        return await self._views(_JOINABLE, {"user_id": user_id, "after": after, "size": size})

    async def page_of_user(self, user_id: UserId, after: str, size: int) -> list[RoomView]:
        """Return a user's rooms by their ids."""
        return await self._views(_PAGE_OF_USER, {"user_id": user_id, "after": after, "size": size})

    async def views_for(self, user_id: UserId, uids: Sequence[RoomUid], most_members: int) -> dict[RoomUid, RoomView]:
        """Return those of some rooms that a user is in, by uid; the members only where they are no more than that."""
        rows = await self._database.rows(_ROOMS_OF_USER, {"uids": list(uids), "user_id": user_id})
        found = [room_of(row) for row in rows]
        members = await self._members([room.uid for room in found if room.member_count <= most_members])
        return {room.uid: RoomView(room, members.get(room.uid, ())) for room in found}

    async def _views(self, query: Query, values: Mapping[str, Any]) -> list[RoomView]:
        found = [room_of(row) for row in await self._database.rows(query, values)]
        members = await self._members([room.uid for room in found])
        return [RoomView(room, members[room.uid]) for room in found]

    async def _members(self, uids: Sequence[RoomUid]) -> dict[RoomUid, list[str]]:
        return _by_room(uids, await self._database.rows(_MEMBERS, {"uids": list(uids)}) if uids else ())


async def room_by(connection: AsyncConnection, query: Query, uid: RoomUid) -> Room:
    """Return the room that a query of ROOM_COLUMNS finds by its uid, or raise ROOM_NOT_FOUND."""
    row = await query.one_within(connection, {"uid": uid})
    if row is None:
        raise _not_found()
    return room_of(row)


async def view_of(connection: AsyncConnection, uid: RoomUid) -> RoomView:
    """Return a room and its members, or raise ROOM_NOT_FOUND."""
    room = await room_by(connection, GET_ROOM, uid)
    return RoomView(room, (await members_of(connection, [uid]))[uid])


async def members_of(connection: AsyncConnection, uids: Sequence[RoomUid]) -> dict[RoomUid, list[str]]:
    """Return the ids of rooms' members in the order of code points; a room without any has none."""
    return _by_room(uids, await _MEMBERS.within(connection, {"uids": list(uids)}))


def _by_room(uids: Sequence[RoomUid], rows: Iterable[Any]) -> dict[RoomUid, list[str]]:
    members: dict[RoomUid, list[str]] = {uid: [] for uid in uids}
    for row in rows:
        members[row.room_uid].append(row.user_id)
    return members


def _not_found() -> NotFound:
    return NotFound("ROOM_NOT_FOUND", "the room does not exist")
