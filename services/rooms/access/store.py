"""What the access of users depends on, read from PostgreSQL: memberships, visibility, roles.

Each answer is one statement, so the state has every change up to the version in it: whoever keeps the answer and
follows the changes after that version misses none that would make it wrong.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from sqlalchemy import FromClause, Select, bindparam, column, exists, func, literal, select, true
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.sql import ColumnElement
from sqlalchemy.types import Text, Uuid

from services.rooms.model import DEFAULT_ROLE, HeldRole, Permissions, RoleScope, RoomOfUser, Standing, Visibility
from services.rooms.tables import (
    absent_users,
    change_counter,
    deletion_tables,
    fences,
    global_assignments,
    memberships,
    roles,
    room_assignments,
    rooms,
)
from services.runtime.data.database import Database
from services.runtime.data.query import Query
from services.runtime.ids import NO_ROOM, RoomId, RoomUid, UserId, UserUid

_user_id = bindparam("user_id", type_=Text)
_permission = bindparam("permission", type_=Text)
_global_role = roles.alias("global_role")
_room_role = roles.alias("room_role")
# A membership of somebody who is no user counts for nothing.
_is_user = ~exists().where(absent_users.c.user_uid == memberships.c.user_uid)


def _tokens_after(user_id: ColumnElement[str]) -> ColumnElement[Any]:
    return (
        select(func.max(func.extract("epoch", fences.c.fence_time)))
        .where(fences.c.user_hash == deletion_tables.hash_of(user_id))
        .scalar_subquery()
    )


_global_name = func.coalesce(global_assignments.c.role_name, DEFAULT_ROLE)


def _joined(asked: FromClause, room_id: ColumnElement[str], user_id: ColumnElement[str] = _user_id) -> FromClause:
    """Join each room that was asked about with the user's membership there and with the roles that count."""
    return (
        asked.outerjoin(rooms, rooms.c.id == room_id)
        .outerjoin(memberships, (memberships.c.room_uid == rooms.c.uid) & (memberships.c.user_id == user_id) & _is_user)
        # By the membership's uids: without a membership there is no role in the room.
        .outerjoin(
            room_assignments,
            (room_assignments.c.room_uid == memberships.c.room_uid)
            & (room_assignments.c.user_uid == memberships.c.user_uid),
        )
        .outerjoin(
            _room_role,
            (_room_role.c.scope == RoleScope.ROOM) & (_room_role.c.name == room_assignments.c.role_name),
        )
        .outerjoin(global_assignments, global_assignments.c.user_id == user_id)
        .outerjoin(_global_role, (_global_role.c.scope == RoleScope.GLOBAL) & (_global_role.c.name == _global_name))
    )


def _standings(
    asked: FromClause,
    room_id: ColumnElement[str],
    user_id: ColumnElement[str] = _user_id,
    permission: ColumnElement[str] = _permission,
) -> Select[Any]:
    """Select how the user stands to each room that was asked about; `asked` has the counter among its tables."""
    return select(
        room_id.label("asked"),
        user_id.label("asked_user"),
        permission.label("asked_permission"),
        change_counter.c.version,
        rooms.c.uid,
        rooms.c.visibility,
        memberships.c.user_uid,
        _global_name.label("global_name"),
        func.coalesce(permission == func.any(_global_role.c.permissions), False).label("global_grants"),
        room_assignments.c.role_name.label("room_name"),
        func.coalesce(permission == func.any(_room_role.c.permissions), False).label("room_grants"),
        _tokens_after(user_id).label("tokens_after"),
    ).select_from(_joined(asked, room_id, user_id))


_one_room = bindparam("room_id", type_=Text)
_many_rooms = (
    func.unnest(bindparam("room_ids", type_=ARRAY(Text)))
    .table_valued(column("room_id", Text), name="asked")
    .render_derived()
)
_STANDING = Query(_standings(change_counter, _one_room))
_STANDINGS = Query(_standings(change_counter.join(_many_rooms, true()), _many_rooms.c.room_id))
_many_users = (
    func.unnest(bindparam("user_ids", type_=ARRAY(Text)), bindparam("permissions", type_=ARRAY(Text)))
    .table_valued(column("user_id", Text), column("permission", Text), name="asked")
    .render_derived()
)
_STANDINGS_OF_USERS = Query(
    _standings(
        change_counter.join(_many_users, true()), literal(NO_ROOM), _many_users.c.user_id, _many_users.c.permission
    )
)
_PERMISSIONS = Query(
    select(
        rooms.c.uid,
        memberships.c.user_uid,
        _global_role.c.permissions.label("of_global_role"),
        _room_role.c.permissions.label("of_room_role"),
    ).select_from(_joined(change_counter, _one_room))
)


def _rooms_of(*conditions: ColumnElement[bool]) -> Select[Any]:
    """Select a page of the user's rooms, and the version also when there are none."""
    page = (
        select(memberships.c.room_id, memberships.c.room_uid, memberships.c.user_uid)
        .where(
            memberships.c.user_id == _user_id,
            memberships.c.room_id > bindparam("after", type_=Text),
            _is_user,
            *conditions,
        )
        .order_by(memberships.c.room_id)
        .limit(bindparam("size"))
        .subquery()
    )
    return (
        select(change_counter.c.version, page.c.room_id, page.c.room_uid, page.c.user_uid)
        .select_from(change_counter.outerjoin(page, true()))
        .order_by(page.c.room_id)
    )


def _granted_by(scope: RoleScope, name: Any) -> ColumnElement[bool]:
    return exists().where(roles.c.scope == scope, roles.c.name == name, _permission == func.any(roles.c.permissions))


_assigned = select(global_assignments.c.role_name).where(global_assignments.c.user_id == _user_id).scalar_subquery()
_in_the_room = exists().where(
    room_assignments.c.room_uid == memberships.c.room_uid,
    room_assignments.c.user_uid == memberships.c.user_uid,
    roles.c.scope == RoleScope.ROOM,
    roles.c.name == room_assignments.c.role_name,
    _permission == func.any(roles.c.permissions),
)
_ROOMS_OF = Query(_rooms_of())
_PERMITTED_ROOMS_OF = Query(
    _rooms_of(_granted_by(RoleScope.GLOBAL, func.coalesce(_assigned, DEFAULT_ROLE)) | _in_the_room)
)


_MEMBERS_AMONG = Query(
    select(memberships.c.user_uid)
    .join(rooms, rooms.c.uid == memberships.c.room_uid)
    .where(rooms.c.id == _one_room, memberships.c.user_id == func.any(bindparam("user_ids", type_=ARRAY(Text))))
)


# Filtered by all who are asked about: that is a look at each member of the rooms, whatever the planner thinks of pairs.
_MEMBERS_AMONG_MANY = Query(
    select(memberships.c.room_uid, func.array_agg(memberships.c.user_uid).label("user_uids"))
    .where(
        memberships.c.room_uid == func.any(bindparam("room_uids", type_=ARRAY(Uuid))),
        memberships.c.user_uid == func.any(bindparam("user_uids", type_=ARRAY(Uuid))),
    )
    .group_by(memberships.c.room_uid)
)


class AccessStore:
    """Reads who may act where."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def standing(self, room_id: RoomId, user_id: UserId, permission: str = "") -> Standing:
        """Return how a user stands to a room, and whether their roles grant a permission; no room has an empty id."""
        values = {"room_id": room_id, "user_id": user_id, "permission": permission}
        return _standing(await self._database.row(_STANDING, values))

    async def standings(self, room_ids: Iterable[str], user_id: UserId, permission: str) -> dict[str, Standing]:
        """Return how a user stands to each of the rooms, all of one moment."""
        values = {"room_ids": list(dict.fromkeys(room_ids)), "user_id": user_id, "permission": permission}
        return {row.asked: _standing(row) for row in await self._database.rows(_STANDINGS, values)}

    async def standings_of_users(self, asked: Collection[tuple[UserId, str]]) -> dict[tuple[UserId, str], Standing]:
        """Return how each of some users stands to no room, and whether their role grants a permission."""
        values = {"user_ids": [user_id for user_id, _ in asked], "permissions": [name for _, name in asked]}
        found = await self._database.rows(_STANDINGS_OF_USERS, values)
        return {(row.asked_user, row.asked_permission): _standing(row) for row in found}

    async def permissions(self, room_id: RoomId, user_id: UserId) -> Permissions | None:
        """Return what a user's roles grant in a room, or None when there is no such room."""
        row = await self._database.row(_PERMISSIONS, {"room_id": room_id, "user_id": user_id})
        if row.uid is None:
            return None
        return Permissions({*(row.of_global_role or ()), *(row.of_room_role or ())}, row.user_uid is not None)

    async def members_among(self, room_id: RoomId, user_ids: Iterable[str]) -> list[UserUid]:
        """Return the uids of those of some users who are members of a room."""
        found = await self._database.rows(_MEMBERS_AMONG, {"room_id": room_id, "user_ids": list(user_ids)})
        return [row.user_uid for row in found]

    async def members_among_many(
        self, asked: Mapping[RoomUid, AbstractSet[UserUid]]
    ) -> dict[RoomUid, AbstractSet[UserUid]]:
        """Return which of some users, by room, are members of it; rooms of which nobody is are left out."""
        values = {"room_uids": list(asked), "user_uids": list(frozenset[UserUid]().union(*asked.values()))}
        found = await self._database.rows(_MEMBERS_AMONG_MANY, values)
        members = {row.room_uid: asked[row.room_uid] & set(row.user_uids) for row in found}
        return {room_uid: user_uids for room_uid, user_uids in members.items() if user_uids}

    async def rooms_of(
        self, user_id: UserId, permission: str, after: str, size: int
    ) -> tuple[int, Sequence[RoomOfUser]]:
        """Return the version, and the user's rooms in the order of their ids; only those where the permission is."""
        statement = _PERMITTED_ROOMS_OF if permission else _ROOMS_OF
        values: dict[str, Any] = {"user_id": user_id, "after": after, "size": size}
        if permission:
            values["permission"] = permission
        found = await self._database.rows(statement, values)
        version: int = found[0].version
        return version, [
            RoomOfUser(row.room_id, row.room_uid, row.user_uid) for row in found if row.room_id is not None
        ]


def _standing(row: Any) -> Standing:
    uid: RoomUid | None = row.uid
    return Standing(
        row.version,
        uid,
        None if row.visibility is None else Visibility(row.visibility),
        row.user_uid,
        HeldRole(row.global_name, row.global_grants),
        None if row.room_name is None else HeldRole(row.room_name, row.room_grants),
        float(row.tokens_after or 0),
    )
