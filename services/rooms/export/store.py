"""What rooms has of a user, in pages; what the eraser removes (deletions/users_store.py) is what is told."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Uuid, func, select, text, tuple_
from sqlalchemy.dialects.postgresql import array

from services.rooms.model import Room
from services.rooms.tables import ROOM_COLUMNS, creations, global_assignments, room_assignments, room_of, rooms
from services.runtime.data.database import Database
from services.runtime.erasure.model import ErasedUser
from services.runtime.ids import RoomId, RoomUid

_AT_ONCE = 100
_MEMBERSHIPS = text("""
    SELECT room_id, create_time, is_given FROM rooms.memberships
    WHERE user_id = :user_id AND user_uid = :user_uid AND room_id > :after ORDER BY room_id LIMIT :most
""")

# Where a room stands among those that a user has created.
CreatedPlace = tuple[datetime, UUID]
FIRST_CREATED: CreatedPlace = (datetime.min.replace(tzinfo=UTC), UUID(int=0))


@dataclass(frozen=True, slots=True)
class Membership:
    """That a user is a member, since when, and whether somebody else has made them one."""

    room_id: RoomId
    create_time: datetime
    is_given: bool


@dataclass(frozen=True, slots=True)
class CreatedRoom:
    """A room that a user has created, and with which request, if it is known."""

    room: Room
    request_id: str | None

    @property
    def place(self) -> CreatedPlace:
        """Where it stands among them."""
        return self.room.create_time, self.room.uid


class UserExportStore:
    """What there is of users. Pages begin after a key, and have a bound of their own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def memberships(self, user: ErasedUser, after: str) -> list[Membership]:
        """Return a page of a user's memberships by the rooms' ids."""
        values = {"user_id": user.id, "user_uid": user.uid, "after": after, "most": _AT_ONCE}
        rows = await self._read(_MEMBERSHIPS, values)
        return [Membership(row.room_id, row.create_time, row.is_given) for row in rows]

    async def created(self, user: ErasedUser, after: CreatedPlace) -> list[CreatedRoom]:
        """Return a page of the rooms that a user has created, the oldest first."""
        request_id = select(func.min(creations.c.request_id)).where(
            creations.c.room_uid == rooms.c.uid, creations.c.creator_uid == user.uid
        )
        mine = select(*ROOM_COLUMNS, request_id.scalar_subquery().label("request_id")).where(
            rooms.c.creator_id == user.id, tuple_(rooms.c.create_time, rooms.c.uid) > tuple_(*after)
        )
        rows = await self._read(mine.order_by(rooms.c.create_time, rooms.c.uid).limit(_AT_ONCE))
        return [CreatedRoom(room_of(row), row.request_id) for row in rows]

    async def direct(self, user: ErasedUser, after: RoomUid) -> list[Room]:
        """Return a page of the rooms that a user has with one other, by their uids."""
        mine = select(*ROOM_COLUMNS).where(
            rooms.c.direct_user_uids.contains(array([user.uid], type_=Uuid)), rooms.c.uid > after
        )
        return [room_of(row) for row in await self._read(mine.order_by(rooms.c.uid).limit(_AT_ONCE))]

    async def global_role(self, user: ErasedUser) -> str | None:
        """Return the global role that a user was assigned, or None."""
        mine = select(global_assignments.c.role_name).where(global_assignments.c.user_uid == user.uid)
        return next((row.role_name for row in await self._read(mine)), None)

    async def room_roles(self, user: ErasedUser, after: str) -> list[tuple[RoomId, str]]:
        """Return a page of a user's roles in rooms, each with its room's id, by that."""
        mine = select(room_assignments.c.room_id, room_assignments.c.role_name).where(
            room_assignments.c.user_id == user.id,
            room_assignments.c.user_uid == user.uid,
            room_assignments.c.room_id > after,
        )
        rows = await self._read(mine.order_by(room_assignments.c.room_id).limit(_AT_ONCE))
        return [(row.room_id, row.role_name) for row in rows]

    async def _read(self, statement: Any, values: dict[str, Any] | None = None) -> Sequence[Any]:
        async with self._database.reading() as connection:
            return (await connection.execute(statement, values)).all()
