"""The use cases of roles: no gRPC, no SQL. Each change of them tells the feed, and acts on the next call."""

from collections.abc import Collection, Sequence

from services.rooms.model import DEFAULT_ROLE, AssignedRole, Change, Role, RoleScope, changed_permissions
from services.rooms.roles.store import RoleStore
from services.runtime.contract.errors import AlreadyExists, FailedPrecondition, NotFound, invalid_field
from services.runtime.data.change_feed import ChangeFeed
from services.runtime.deadline import Deadline
from services.runtime.ids import NO_ROOM, RoomId, UserId
from services.runtime.peers.directory import DirectoryClient


class Roles:
    """What can be done with roles and their assignments."""

    def __init__(
        self, store: RoleStore, users: DirectoryClient, feed: ChangeFeed[Change], *, room_permissions: Collection[str]
    ) -> None:
        self._store = store
        self._users = users
        self._feed = feed
        self._room_permissions = frozenset(room_permissions)

    async def create(self, scope: RoleScope, name: str, permissions: Sequence[str]) -> Role:
        """Create a role. Raises ROLE_ALREADY_EXISTS."""
        self._check_scope(scope, permissions, "permissions")
        role = Role(scope, name, changed_permissions((), permissions, ()))
        if not await self._store.create(role):
            raise AlreadyExists(
                "ROLE_ALREADY_EXISTS", "a role of this scope and name exists", metadata=_metadata(scope, name)
            )
        self._feed.nudge()
        return role

    async def get(self, scope: RoleScope, name: str) -> Role:
        """Return a role, or raise ROLE_NOT_FOUND."""
        role = await self._store.find(scope, name)
        if role is None:
            raise _not_found(scope, name)
        return role

    async def page(self, scope: RoleScope | None, after: tuple[int, str], size: int) -> list[Role]:
        """Return roles by scope and name."""
        return await self._store.page(scope, after, size)

    async def update(self, scope: RoleScope, name: str, add: Sequence[str], remove: Sequence[str]) -> Role:
        """Change what a role grants, all at once or not at all.

        Raises ROLE_NOT_FOUND, FIELD_REQUIRED and FIELD_INVALID.
        """
        if not add and not remove:
            raise invalid_field("FIELD_REQUIRED", "add_permissions", "there must be a permission to add or to remove")
        for index, permission in enumerate(remove):
            if permission in add:
                raise invalid_field(
                    "FIELD_INVALID", f"remove_permissions[{index}]", f"{permission} is to be added as well"
                )
        self._check_scope(scope, add, "add_permissions")
        role = await self._store.update(scope, name, lambda old: changed_permissions(old, add, remove))
        if role is None:
            raise _not_found(scope, name)
        self._feed.nudge()
        return role

    async def delete(self, scope: RoleScope, name: str) -> None:
        """Delete a role and its assignments. Raises ROLE_PROTECTED and ROLE_NOT_FOUND."""
        if scope is RoleScope.GLOBAL and name == DEFAULT_ROLE:
            raise FailedPrecondition(
                "ROLE_PROTECTED",
                "the global role default can be changed and not deleted",
                metadata=_metadata(scope, name),
            )
        if not await self._store.delete(scope, name):
            raise _not_found(scope, name)
        self._feed.nudge()

    async def assign(self, user_id: UserId, name: str, room_id: RoomId, deadline: Deadline) -> AssignedRole:
        """Give a user a role, globally or in a room, in place of the one that they had there. Raises ROLE_NOT_FOUND."""
        user_uid = await self._users.uid_of(user_id, deadline)
        scope = RoleScope.ROOM if room_id else RoleScope.GLOBAL
        if room_id:
            role = await self._store.assign_in_room(room_id, user_id, user_uid, name)
        else:
            role = await self._store.assign_globally(user_id, user_uid, name)
        if role is None:
            raise _not_found(scope, name)
        self._feed.nudge()
        return AssignedRole(role, room_id)

    async def unassign(self, user_id: UserId, room_id: RoomId) -> None:
        """Take a user's role away, globally or in a room, if there is one; nobody else is asked, so it always works."""
        if room_id:
            ended = await self._store.unassign_in_room(room_id, user_id)
        else:
            ended = await self._store.unassign_globally(user_id)
        if ended:
            self._feed.nudge()

    async def page_of_user(
        self, user_id: UserId, after: str | None, size: int, deadline: Deadline
    ) -> list[AssignedRole]:
        """Return a user's roles: from the start the global one, then those in rooms after a room's id."""
        user_uid = await self._users.uid_of(user_id, deadline)
        if after is not None:
            return await self._store.roles_in_rooms(user_id, user_uid, after, size)
        first = AssignedRole(await self._store.global_role(user_id), NO_ROOM)
        return [first, *await self._store.roles_in_rooms(user_id, user_uid, "", size - 1)]

    def _check_scope(self, scope: RoleScope, permissions: Sequence[str], field: str) -> None:
        if scope is RoleScope.GLOBAL:
            return
        for index, permission in enumerate(permissions):
            if permission not in self._room_permissions:
                raise invalid_field("FIELD_INVALID", f"{field}[{index}]", f"a role in rooms can't have {permission}")


def _metadata(scope: RoleScope, name: str) -> dict[str, str]:
    return {"scope": scope.name, "role": name}


def _not_found(scope: RoleScope, name: str) -> NotFound:
    return NotFound("ROLE_NOT_FOUND", "there is no such role", metadata=_metadata(scope, name))
