"""Rooms that are deleted: in one transaction the room is gone from rooms, and the deletion noted."""

from sqlalchemy import bindparam, delete, insert, update
from sqlalchemy.types import Uuid

from services.rooms import recorded_changes
from services.rooms.model import Change, ChangeKind
from services.rooms.tables import (
    changes,
    creations,
    deleted_memberships,
    memberships,
    room_assignments,
    rooms,
)
from services.rooms.views_store import LOCK_ROOM, room_by
from services.runtime.data.database import Database
from services.runtime.erasure.deletions import LEASE
from services.runtime.erasure.model import DeletionId
from services.runtime.erasure.store import DeletionStore
from services.runtime.ids import NO_ROOM, RoomUid

_END_MEMBERSHIPS = (
    delete(memberships)
    .where(memberships.c.room_uid == bindparam("uid", type_=Uuid))
    .returning(memberships.c.user_id, memberships.c.user_uid)
)


class RoomDeletionStore:
    """Removes what rooms has of a room."""

    def __init__(self, database: Database, deletions: DeletionStore) -> None:
        self._database = database
        self._deletions = deletions

    async def delete(self, uid: RoomUid) -> DeletionId:
        """Remove a room with its memberships and roles, and begin its deletion elsewhere. Raises ROOM_NOT_FOUND."""
        async with self._database.transaction() as connection:
            room = await room_by(connection, LOCK_ROOM, uid)
            deletion_id = await self._deletions.begin(connection, uid, room.id, done=["rooms"], lease=LEASE)
            for table in (room_assignments, creations):
                await connection.execute(delete(table).where(table.c.room_uid == uid))
            members = (await connection.execute(_END_MEMBERSHIPS, {"uid": uid})).all()
            await connection.execute(delete(rooms).where(rooms.c.uid == uid))
            # It names nobody and nothing: those who follow the room know its id.
            deleted = Change(version=0, kind=ChangeKind.ROOM_DELETED, room_uid=uid, room_id=NO_ROOM)
            version = await recorded_changes.change_log.record_at_once(connection, [deleted])
            # Who has yet to read those before takes them for some of an early release, which did not name rooms.
            earlier = update(changes).where(changes.c.room_uid == uid, changes.c.version < version)
            await connection.execute(earlier.values(room_id=None))
            if members:
                # As long as the change is kept: so those who were away learn that they have missed it.
                noted = [{**row._asdict(), "version": version} for row in members]
                await connection.execute(insert(deleted_memberships), noted)
        return deletion_id
