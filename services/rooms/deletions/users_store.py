"""What rooms has of a user who is deleted, removed in small steps that others are told of."""

from datetime import timedelta
from typing import Any

from sqlalchemy import Select, String, Update, delete, func, select, update
from sqlalchemy.dialects.postgresql import ARRAY, array, insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Uuid

from services.rooms import recorded_changes
from services.rooms.model import Change, ChangeKind
from services.rooms.tables import (
    absent_users,
    changes,
    creations,
    deleted_memberships,
    deletion_tables,
    fences,
    global_assignments,
    memberships,
    room_assignments,
    rooms,
)
from services.runtime.data.database import Database
from services.runtime.erasure.model import ErasedUser
from services.runtime.ids import RoomUid

# Written by whoever makes something a user's, before they look whether the user was deleted.
WRITTEN = [table.fullname for table in (memberships, global_assignments, room_assignments)]
_AT_ONCE = 20
# Chatkit's lived for a day.
_TOKENS_LIVE = timedelta(days=30)
_later = func.greatest(rooms.c.update_time, func.clock_timestamp())


class UserErasureStore:
    """Removes what there is of users."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def fence(self, user: ErasedUser) -> None:
        """Let nothing be a user's any more, and let others forget what they know of the user's access."""
        values = {"uid": user.uid, "user_hash": deletion_tables.hash_of(user.id)}
        noted = insert(fences).values(values).on_conflict_do_nothing().returning(fences.c.uid)
        async with self._database.transaction() as connection:
            if (await connection.execute(noted)).one_or_none() is not None:
                change = Change(version=0, kind=ChangeKind.ROLE_ASSIGNED, user_uid=user.uid, user_id=user.id)
                await recorded_changes.record(connection, [change])

    async def forget_tokens(self) -> None:
        """Forget what tokens called users who were deleted so long ago that those have expired."""
        old = update(fences).where(fences.c.user_hash.is_not(None), fences.c.fence_time < func.now() - _TOKENS_LIVE)
        async with self._database.transaction() as connection:
            await connection.execute(old.values(user_hash=None))

    async def rooms_of(self, user: ErasedUser) -> list[RoomUid]:
        """Return some of the rooms that a user is a member of."""
        mine = select(memberships.c.room_uid).where(
            memberships.c.user_id == user.id, memberships.c.user_uid == user.uid
        )
        async with self._database.reading() as connection:
            return list((await connection.execute(mine.limit(_AT_ONCE))).scalars())

    async def forget_in_rooms(self, user: ErasedUser) -> int:
        """Let some of the rooms that a user has created, or has with one other, forget who that was."""
        created = select(rooms.c.uid).where(rooms.c.creator_id == user.id)
        direct = select(rooms.c.uid).where(rooms.c.direct_user_uids.contains(array([user.uid], type_=Uuid)))
        nameless = {"creator_id": ""}
        without = {
            "direct_user_ids": func.array_replace(rooms.c.direct_user_ids, user.id, "", type_=ARRAY(String)),
            # Somebody who never was: the room stays one of two, whom nobody else joins.
            "direct_user_uids": func.array_replace(
                rooms.c.direct_user_uids, user.uid, func.gen_random_uuid(), type_=ARRAY(Uuid)
            ),
        }
        async with self._database.transaction() as connection:
            forgotten = await _change(connection, created, update(rooms).values(**nameless))
            return forgotten + await _change(connection, direct, update(rooms).values(**without))

    async def remove_rest(self, user: ErasedUser) -> int:
        """Remove a user's roles, the requests that made rooms, and what notes where the user was; return how much."""
        in_rooms = (room_assignments.c.user_id == user.id) & (room_assignments.c.user_uid == user.uid)
        removed = 0
        for gone in (
            delete(global_assignments).where(global_assignments.c.user_uid == user.uid),
            delete(room_assignments).where(in_rooms),
            delete(creations).where(creations.c.creator_uid == user.uid),
            delete(absent_users).where(absent_users.c.user_uid == user.uid),
            delete(deleted_memberships).where(deleted_memberships.c.user_uid == user.uid),
        ):
            async with self._database.transaction() as connection:
                removed += (await connection.execute(gone)).rowcount
        return removed

    async def forget_changes(self, user: ErasedUser, age: timedelta) -> bool:
        """Forget whom changes were about that are older than that; False where there are younger ones.

        Whoever has not read them by then can't tell what they were, and begins anew.
        """
        nothing = {"kind": ChangeKind.UNKNOWN, "user_uid": None, "user_id": None}
        async with self._database.transaction() as connection:
            return await recorded_changes.change_log.forget(connection, changes.c.user_uid == user.uid, age, **nothing)


async def _change(connection: AsyncConnection, wanted: Select[Any], values: Update) -> int:
    """Change the descriptions of some of the rooms that are wanted, in the order in which all lock them."""
    some = wanted.order_by(rooms.c.uid).limit(_AT_ONCE).with_for_update()
    uids = list((await connection.execute(some)).scalars())
    if uids:
        changed = values.where(rooms.c.uid.in_(uids)).values(revision=rooms.c.revision + 1, update_time=_later)
        await connection.execute(changed)
        told = [Change(version=0, kind=ChangeKind.ROOM_UPDATED, room_uid=uid) for uid in uids]
        await recorded_changes.record(connection, told)
    return len(uids)
