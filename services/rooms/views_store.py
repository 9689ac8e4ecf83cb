"""Rooms and memberships in PostgreSQL, as they are read: one by one, and in pages."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, bindparam, exists, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Text, Uuid

from services.rooms.model import Room, RoomView, Visibility
from services.rooms.tables import ROOM_COLUMNS, memberships, room_of, rooms
from services.runtime.contract.errors import NotFound
from services.runtime.data.database import Database
from services.runtime.ids import RoomId, RoomUid, UserId

GET_ROOM = select(*ROOM_COLUMNS).where(rooms.c.uid == bindparam("uid", type_=Uuid))
LOCK_ROOM = GET_ROOM.with_for_update()
_RETENTION = select(rooms.c.uid, rooms.c.retention_days).where(
    rooms.c.uid == func.any(bindparam("uids", type_=ARRAY(Uuid)))
)
# Written into the statement, because the index of public rooms is of no use to a plan that does not know the value.
_IS_PUBLIC = rooms.c.visibility == literal(int(Visibility.PUBLIC), literal_execute=True)
_ROOMS_OF_USER = (
    select(*ROOM_COLUMNS)
    .join(memberships, memberships.c.room_uid == rooms.c.uid)
    .where(
        rooms.c.uid == func.any(bindparam("uids", type_=ARRAY(Uuid))),
        memberships.c.user_id == bindparam("user_id", type_=Text),
    )
)
_MEMBERS_OF = (
    select(memberships.c.room_uid, memberships.c.user_id)
    .where(memberships.c.room_uid == func.any(bindparam("uids", type_=ARRAY(Uuid))))
    .order_by(memberships.c.room_uid, memberships.c.user_id)
)


class RoomViewStore:
    """Reads the tables of rooms and memberships; nothing is locked."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, uid: RoomUid) -> Room:
        """Return a room, or raise ROOM_NOT_FOUND."""
        async with self._database.reading() as connection:
            return await room_by(connection, GET_ROOM, uid)

    async def view(self, uid: RoomUid) -> RoomView:
        """Return a room and its members, or raise ROOM_NOT_FOUND."""
        async with self._database.transaction() as connection:
            return await view_of(connection, uid)

    async def find(self, room_id: RoomId) -> RoomView | None:
        """Return the room that has an id, and its members; or None."""
        views = await self._views(select(*ROOM_COLUMNS).where(rooms.c.id == room_id))
        return views[0] if views else None

    async def view_page(self, after: str, size: int) -> list[RoomView]:
        """Return rooms and their members by the rooms' ids, private ones too."""
        return await self._views(select(*ROOM_COLUMNS).where(rooms.c.id > after).order_by(rooms.c.id).limit(size))

    async def retention(self, uids: Sequence[RoomUid]) -> dict[RoomUid, int | None]:
        """Return how many days messages are kept in those rooms that exist; None is the deployment's retention."""
        async with self._database.reading() as connection:
            return {row.uid: row.retention_days for row in await connection.execute(_RETENTION, {"uids": list(uids)})}

    async def member_page(self, room_uid: RoomUid, after: str, size: int) -> list[str]:
        """Return ids of members in the order of code points."""
        statement = (
            select(memberships.c.user_id)
            .where(memberships.c.room_uid == room_uid, memberships.c.user_id > after)
            .order_by(memberships.c.user_id)
            .limit(size)
        )
        async with self._database.reading() as connection:
            return list((await connection.execute(statement)).scalars())

    async def page(self, after: str, size: int, *, with_private: bool) -> list[Room]:
        """Return rooms by their ids, public ones only unless private ones are asked for too."""
        statement = select(*ROOM_COLUMNS).where(rooms.c.id > after).order_by(rooms.c.id).limit(size)
        async with self._database.reading() as connection:
            found = await connection.execute(statement if with_private else statement.where(_IS_PUBLIC))
            return [room_of(row) for row in found]

    async def joinable_page(self, user_id: UserId, after: str, size: int) -> list[RoomView]:
        """Return the public rooms that a user is not in, by their ids."""
        # Ids alone, so that rooms which the user is in are passed over in two indexes and never read.
        page = (
            select(rooms.c.id)
            .where(_IS_PUBLIC, rooms.c.id > after)
            .where(
                ~exists().where(
                    memberships.c.user_id == user_id,
                    memberships.c.room_id == rooms.c.id,
                    # Follows from the rest, but the planner does not see it and would walk from the first one.
                    memberships.c.room_id > after,
                )
            )
            .order_by(rooms.c.id)
            .limit(size)
            .subquery()
        )
        return await self._views(select(*ROOM_COLUMNS).join(page, page.c.id == rooms.c.id).order_by(rooms.c.id))

    async def page_of_user(self, user_id: UserId, after: str, size: int) -> list[RoomView]:
        """Return a user's rooms by their ids."""
        page = (
            select(memberships.c.room_uid)
            .where(memberships.c.user_id == user_id, memberships.c.room_id > after)
            .order_by(memberships.c.room_id)
            .limit(size)
            .subquery()
        )
        return await self._views(select(*ROOM_COLUMNS).join(page, page.c.room_uid == rooms.c.uid).order_by(rooms.c.id))

    async def views_for(self, user_id: UserId, uids: Sequence[RoomUid], most_members: int) -> dict[RoomUid, RoomView]:
        """Return those of some rooms that a user is in, by uid; the members only where they are no more than that."""
        async with self._database.transaction() as connection:
            values = {"uids": list(uids), "user_id": user_id}
            found = [room_of(row) for row in await connection.execute(_ROOMS_OF_USER, values)]
            members = await members_of(connection, [room.uid for room in found if room.member_count <= most_members])
        return {room.uid: RoomView(room, members.get(room.uid, ())) for room in found}

    async def _views(self, statement: Select[Any]) -> list[RoomView]:
        async with self._database.transaction() as connection:
            found = [room_of(row) for row in await connection.execute(statement)]
            members = await members_of(connection, [room.uid for room in found])
        return [RoomView(room, members[room.uid]) for room in found]


async def room_by(connection: AsyncConnection, statement: Select[Any], uid: RoomUid) -> Room:
    """Return the room that a statement of ROOM_COLUMNS finds by its uid, or raise ROOM_NOT_FOUND."""
    row = (await connection.execute(statement, {"uid": uid})).one_or_none()
    if row is None:
        raise NotFound("ROOM_NOT_FOUND", "the room does not exist")
    return room_of(row)


async def view_of(connection: AsyncConnection, uid: RoomUid) -> RoomView:
    """Return a room and its members, or raise ROOM_NOT_FOUND."""
    room = await room_by(connection, GET_ROOM, uid)
    return RoomView(room, (await members_of(connection, [uid]))[uid])


async def members_of(connection: AsyncConnection, uids: Sequence[RoomUid]) -> dict[RoomUid, list[str]]:
    """Return the ids of rooms' members in the order of code points; a room without any has none."""
    members: dict[RoomUid, list[str]] = {uid: [] for uid in uids}
    for row in await connection.execute(_MEMBERS_OF, {"uids": list(uids)}):
        members[row.room_uid].append(row.user_id)
    return members
