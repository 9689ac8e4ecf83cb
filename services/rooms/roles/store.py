"""Roles and their assignments in PostgreSQL. One public method is one transaction.

The order of locks: the role, the user or the room, the assignment, the counter of changes. Whoever assigns a role keeps
it from being deleted meanwhile, so no assignment outlives its role.
"""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import delete, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.rooms import recorded_changes
from services.rooms.fences_store import refuse_deleted
from services.rooms.model import DEFAULT_ROLE, AssignedRole, Change, ChangeKind, Role, RoleScope
from services.rooms.tables import global_assignments, roles, room_assignments, rooms
from services.runtime.contract.errors import NotFound
from services.runtime.data.database import Database
from services.runtime.data.query import Query
from services.runtime.ids import RoomId, RoomUid, UserId, UserUid

# A global assignment is unique by the user's id and by their uid, of which one statement looks at one: of two that are
# made at once the second would fail. A number beside it, so that no lock of another kind is meant.
_LOCK_USER = Query("SELECT pg_advisory_xact_lock(1, hashtext(CAST(:user_id AS text)))")
_COLUMNS = (roles.c.scope, roles.c.name, roles.c.permissions)


class RoleStore:
    """The tables of roles and assignments."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, role: Role) -> bool:
        """Store a role; False when there is one of this scope and name."""
        values = {"scope": role.scope, "name": role.name, "permissions": list(role.permissions)}
        statement = insert(roles).values(values).on_conflict_do_nothing().returning(roles.c.name)
        async with self._database.transaction() as connection:
            created = (await connection.execute(statement)).one_or_none() is not None
            if created:
                await recorded_changes.record(connection, [_changed(role.scope, role.name)])
        return created

    async def find(self, scope: RoleScope, name: str) -> Role | None:
        """Return a role, if there is one."""
        statement = select(*_COLUMNS).where(roles.c.scope == scope, roles.c.name == name)
        async with self._database.reading() as connection:
            row = (await connection.execute(statement)).one_or_none()
        return None if row is None else _role(row)

    async def page(self, scope: RoleScope | None, after: tuple[int, str], size: int) -> list[Role]:
        """Return roles by scope and name."""
        key = tuple_(roles.c.scope, roles.c.name)
        statement = select(*_COLUMNS).where(key > tuple_(*after)).order_by(roles.c.scope, roles.c.name).limit(size)
        if scope is not None:
            statement = statement.where(roles.c.scope == scope)
        async with self._database.reading() as connection:
            return [_role(row) for row in await connection.execute(statement)]

    async def update(self, scope: RoleScope, name: str, change: Callable[[Sequence[str]], list[str]]) -> Role | None:
        """Change what a role grants under its lock; None when there is no such role."""
        the_role = (roles.c.scope == scope) & (roles.c.name == name)
        async with self._database.transaction() as connection:
            # Not FOR UPDATE, which would keep others from assigning the role.
            locked = select(*_COLUMNS).where(the_role).with_for_update(key_share=True)
            row = (await connection.execute(locked)).one_or_none()
            if row is None:
                return None
            permissions = change(row.permissions)
            if permissions != list(row.permissions):
                await connection.execute(update(roles).where(the_role).values(permissions=permissions))
                await recorded_changes.record(connection, [_changed(scope, name)])
        return Role(scope, name, permissions)

    async def delete(self, scope: RoleScope, name: str) -> bool:
        """Delete a role and its assignments; False when there is no such role."""
        assignments = global_assignments if scope is RoleScope.GLOBAL else room_assignments
        removal = delete(roles).where(roles.c.scope == scope, roles.c.name == name)
        async with self._database.transaction() as connection:
            if (await connection.execute(removal)).rowcount == 0:
                return False
            # A statement of its own, so that it sees what was assigned until the deletion had its lock.
            await connection.execute(delete(assignments).where(assignments.c.role_name == name))
            await recorded_changes.record(connection, [_changed(scope, name)])
        return True

    async def assign_globally(self, user_id: UserId, user_uid: UserUid, name: str) -> Role | None:
        """Make a role the user's global one; None when there is no such role."""
        row = {"user_uid": user_uid, "user_id": user_id, "role_name": name}
        # By the id: a user who was created again may find what the one before had.
        assignment = _upsert(insert(global_assignments).values(row), [global_assignments.c.user_id])
        async with self._database.transaction() as connection:
            role = await self._held(connection, RoleScope.GLOBAL, name)
            if role is None:
                return None
            await _LOCK_USER.within(connection, {"user_id": user_id})
            if (await connection.execute(assignment)).one_or_none() is not None:
                await refuse_deleted(connection, {user_id: user_uid})
                await recorded_changes.record(connection, [_assigned(user_id, user_uid)])
        return role

    async def assign_in_room(self, room_id: RoomId, user_id: UserId, user_uid: UserUid, name: str) -> Role | None:
        """Make a role the user's in a room; None when there is no such role, ROOM_NOT_FOUND without the room."""
        async with self._database.transaction() as connection:
            role = await self._held(connection, RoleScope.ROOM, name)
            if role is None:
                return None
            the_room = select(rooms.c.uid).where(rooms.c.id == room_id).with_for_update(read=True, key_share=True)
            room_uid = (await connection.execute(the_room)).scalar_one_or_none()
            if room_uid is None:
                raise NotFound("ROOM_NOT_FOUND", "the room does not exist", metadata={"room_id": room_id})
            row = {"room_uid": room_uid, "user_uid": user_uid, "room_id": room_id, "user_id": user_id}
            key = [room_assignments.c.room_uid, room_assignments.c.user_uid]
            assignment = _upsert(insert(room_assignments).values(**row, role_name=name), key)
            if (await connection.execute(assignment)).one_or_none() is not None:
                await refuse_deleted(connection, {user_id: user_uid})
                await recorded_changes.record(connection, [_assigned(user_id, user_uid, room_uid)])
        return role

    async def unassign_globally(self, user_id: UserId) -> bool:
        """Take the user's global role away; False when none was assigned."""
        removal = delete(global_assignments).where(global_assignments.c.user_id == user_id)
        async with self._database.transaction() as connection:
            ended = [
                _assigned(user_id, row.user_uid)
                for row in await connection.execute(removal.returning(global_assignments.c.user_uid))
            ]
            await recorded_changes.record(connection, ended)
        return bool(ended)

    async def unassign_in_room(self, room_id: RoomId, user_id: UserId) -> bool:
        """Take the user's role in a room away; False when there is none."""
        removal = delete(room_assignments).where(
            room_assignments.c.user_id == user_id, room_assignments.c.room_id == room_id
        )
        returning = removal.returning(room_assignments.c.room_uid, room_assignments.c.user_uid)
        async with self._database.transaction() as connection:
            ended = [_assigned(user_id, row.user_uid, row.room_uid) for row in await connection.execute(returning)]
            await recorded_changes.record(connection, ended)
        return bool(ended)

    async def global_role(self, user_id: UserId) -> Role:
        """Return the user's global role."""
        assigned = (
            select(global_assignments.c.role_name).where(global_assignments.c.user_id == user_id).scalar_subquery()
        )
        statement = select(*_COLUMNS).where(
            roles.c.scope == RoleScope.GLOBAL, roles.c.name == func.coalesce(assigned, DEFAULT_ROLE)
        )
        async with self._database.reading() as connection:
            return _role((await connection.execute(statement)).one())

    async def roles_in_rooms(self, user_id: UserId, user_uid: UserUid, after: str, size: int) -> list[AssignedRole]:
        """Return the user's roles in rooms by the rooms' ids."""
        statement = (
            select(room_assignments.c.room_id, *_COLUMNS)
            .join(roles, (roles.c.scope == RoleScope.ROOM) & (roles.c.name == room_assignments.c.role_name))
            .where(
                room_assignments.c.user_id == user_id,
                room_assignments.c.user_uid == user_uid,
                room_assignments.c.room_id > after,
            )
            .order_by(room_assignments.c.room_id)
            .limit(size)
        )
        async with self._database.reading() as connection:
            return [AssignedRole(_role(row), row.room_id) for row in await connection.execute(statement)]

    async def _held(self, connection: AsyncConnection, scope: RoleScope, name: str) -> Role | None:
        """Return a role that nobody can delete before this transaction ends."""
        held = select(*_COLUMNS).where(roles.c.scope == scope, roles.c.name == name)
        row = (await connection.execute(held.with_for_update(read=True, key_share=True))).one_or_none()
        return None if row is None else _role(row)


def _upsert(insertion: Insert, key: Sequence[Any]) -> Any:
    """Put a row in the place of the one with its key; a row that says the same is left alone and not returned."""
    table, new = insertion.table, insertion.excluded
    replacing = insertion.on_conflict_do_update(
        index_elements=key,
        set_={"user_uid": new.user_uid, "role_name": new.role_name},
        where=(table.c.role_name != new.role_name) | (table.c.user_uid != new.user_uid),
    )
    return replacing.returning(table.c.role_name)


def _changed(scope: RoleScope, name: str) -> Change:
    return Change(version=0, kind=ChangeKind.ROLE_CHANGED, role=(scope, name))


def _assigned(user_id: UserId, user_uid: UserUid, room_uid: RoomUid | None = None) -> Change:
    return Change(version=0, kind=ChangeKind.ROLE_ASSIGNED, room_uid=room_uid, user_uid=user_uid, user_id=user_id)


def _role(row: Any) -> Role:
    return Role(RoleScope(row.scope), row.name, row.permissions)
