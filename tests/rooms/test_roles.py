"""RolesService over the wire: roles, who has them, and what is refused, with a real database."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest
from chatkit.rooms.v1 import memberships_service_pb2 as memberships_pb2
from chatkit.rooms.v1 import role_pb2
from chatkit.rooms.v1 import roles_service_pb2 as pb2

from services.runtime.contract.policies import permissions
from services.runtime.data.migrations import upgrade
from services.stack.roles import role_names
from tests.support.databases import ROOT, TestDatabase
from tests.support.eventually import until
from tests.support.refusals import refused
from tests.support.suite import Suite
from tests.support.tokens import su, user

GLOBAL, ROOM = role_pb2.ROLE_SCOPE_GLOBAL, role_pb2.ROLE_SCOPE_ROOM


@pytest.fixture
async def rooms(suite: Suite) -> Suite:
    """Run the suite with three users and two rooms of alice's."""
    await suite.make_users("alice", "bob", "carol")
    await suite.make_room("lobby", "alice", "bob")
    await suite.make_room("attic", "alice")
    return suite


async def _create(suite: Suite, scope: role_pb2.RoleScope, name: str, *granted: str) -> role_pb2.Role:
    request = pb2.CreateRoleRequest(scope=scope, name=name, permissions=granted)
    created: pb2.CreateRoleResponse = await suite.roles.CreateRole(request, metadata=su())
    return created.role


async def _get(suite: Suite, scope: role_pb2.RoleScope, name: str) -> list[str]:
    return list((await suite.roles.GetRole(pb2.GetRoleRequest(scope=scope, name=name), metadata=su())).role.permissions)


async def _held(suite: Suite, user_id: str) -> list[tuple[str, str]]:
    """Return the rooms and names of a user's roles, page by page."""
    request = pb2.ListUserRolesRequest(user_id=user_id, page_size=2)
    seen: list[tuple[str, str]] = []
    while True:
        page = await suite.roles.ListUserRoles(request, metadata=su())
        seen.extend((held.room_id, held.role.name) for held in page.assigned_roles)
        if not page.next_page_token:
            return seen
        request.page_token = page.next_page_token


async def _unassign(suite: Suite, user_id: str, room_id: str = "") -> None:
    await suite.roles.UnassignRole(pb2.UnassignRoleRequest(user_id=user_id, room_id=room_id), metadata=su())


async def test_a_fresh_database_has_the_two_roles_that_the_contract_declares(suite: Suite) -> None:
    listed = (await suite.roles.ListRoles(pb2.ListRolesRequest(), metadata=su())).roles
    assert [(role.scope, role.name) for role in listed] == [(GLOBAL, "admin"), (GLOBAL, "default")]
    declared = permissions()
    assert list(listed[0].permissions) == sorted(one.name for one in declared if one.in_admin_role)
    assert list(listed[1].permissions) == sorted(one.name for one in declared if one.in_default_role)


async def test_neither_a_restart_nor_a_repeated_migration_undoes_what_was_changed(suite: Suite) -> None:
    await suite.roles.DeleteRole(pb2.DeleteRoleRequest(scope=GLOBAL, name="admin"), metadata=su())
    request = pb2.UpdateRoleRequest(scope=GLOBAL, name="default", remove_permissions=["room:create"])
    edited = (await suite.roles.UpdateRole(request, metadata=su())).role
    upgrade(suite.database.migrate_dsn("rooms"), "rooms", ROOT / "services/rooms/migrations")
    await suite.restart("rooms")
    assert list((await suite.roles.ListRoles(pb2.ListRolesRequest(), metadata=su())).roles) == [edited]


def _upgraded(database: TestDatabase, tmp_path: Path, change: str) -> list[tuple[str, list[str]]]:
    """Return the roles of a deployment of the release before the search of users, in which somebody made a change."""
    with psycopg.connect(database.superuser_dsn) as connection:
        connection.execute("DROP SCHEMA rooms CASCADE")
        connection.execute(f"CREATE SCHEMA rooms AUTHORIZATION {role_names('rooms')[1]}")
    whole, before = ROOT / "services/rooms/migrations", tmp_path / "before"
    shutil.copytree(
        whole, before, ignore=lambda _, names: [name for name in names if name >= "0012" and name[0] == "0"]
    )
    upgrade(database.migrate_dsn("rooms"), "rooms", before)
    with psycopg.connect(database.superuser_dsn) as connection:
        connection.execute(change.encode())
    upgrade(database.migrate_dsn("rooms"), "rooms", whole)
    with psycopg.connect(database.superuser_dsn) as connection:
        return connection.execute("SELECT name, permissions FROM rooms.roles ORDER BY scope, name").fetchall()


_NOTHING = "SELECT"
_TAKE_ONE = "UPDATE rooms.roles SET permissions = array_remove(permissions, 'user:update') WHERE name = 'admin'"
_DELETE = "DELETE FROM rooms.roles WHERE name = 'admin'"


@pytest.mark.parametrize(
    ("change", "searching"), [(_NOTHING, [True, False]), (_TAKE_ONE, [False, False]), (_DELETE, [False])]
)
def test_admins_of_the_release_before_search_users_if_they_could_do_everything(
    database: TestDatabase, tmp_path: Path, change: str, searching: list[bool]
) -> None:
    roles = _upgraded(database, tmp_path, change)
    assert ["user:search" in granted for _, granted in roles] == searching
    assert [granted for _, granted in roles] == [sorted(set(granted)) for _, granted in roles]


async def test_a_created_role_is_read_as_it_was_stored(suite: Suite) -> None:
    name = "Türsteher 🫎 / x"
    role = await _create(suite, ROOM, name, "room:update", "message:moderate", "room:update")
    assert (role.scope, role.name) == (ROOM, name)
    assert list(role.permissions) == ["message:moderate", "room:update"]
    assert (await suite.roles.GetRole(pb2.GetRoleRequest(scope=ROOM, name=name), metadata=su())).role == role
    assert list((await _create(suite, ROOM, "mute")).permissions) == []
    refusal = await refused(
        suite.roles.GetRole(pb2.GetRoleRequest(scope=GLOBAL, name=name), metadata=su()), "ROLE_NOT_FOUND"
    )
    assert refusal.metadata == {"scope": "GLOBAL", "role": name}


async def test_scope_and_name_together_are_taken_once(suite: Suite) -> None:
    await _create(suite, ROOM, "default")
    request = pb2.CreateRoleRequest(scope=GLOBAL, name="default", permissions=["room:get"])
    refusal = await refused(suite.roles.CreateRole(request, metadata=su()), "ROLE_ALREADY_EXISTS")
    assert refusal.metadata == {"scope": "GLOBAL", "role": "default"}
    assert len(await _get(suite, GLOBAL, "default")) > 1

    async def create() -> bool:
        try:
            await _create(suite, ROOM, "racer", "room:update")
        except grpc.aio.AioRpcError as error:
            assert error.code() is grpc.StatusCode.ALREADY_EXISTS  # noqa: PT017 - one of many
            return False
        return True

    assert sum(await asyncio.gather(*(create() for _ in range(8)))) == 1


async def test_requests_that_are_wrong_are_refused_by_field_and_nothing_changes(suite: Suite) -> None:
    await _create(suite, ROOM, "guard", "room:update")
    create, update = suite.roles.CreateRole, suite.roles.UpdateRole
    bad: list[tuple[Any, Any, str, str]] = [
        (create, pb2.CreateRoleRequest(name="x"), "FIELD_REQUIRED", "scope"),
        (create, pb2.CreateRoleRequest(scope=GLOBAL), "FIELD_REQUIRED", "name"),
        (create, pb2.CreateRoleRequest(scope=GLOBAL, name="a\nb"), "FIELD_INVALID", "name"),
        (create, pb2.CreateRoleRequest(scope=GLOBAL, name="x" * 161), "LIMIT_EXCEEDED", "name"),
        (
            create,
            pb2.CreateRoleRequest(scope=GLOBAL, name="x", permissions=["room:get", "room:fly"]),
            "FIELD_INVALID",
            "permissions[1]",
        ),
        (
            create,
            pb2.CreateRoleRequest(scope=ROOM, name="x", permissions=["room:update", "room:get"]),
            "FIELD_INVALID",
            "permissions[1]",
        ),
        (
            create,
            pb2.CreateRoleRequest(scope=GLOBAL, name="x", permissions=["room:get"] * 65),
            "LIMIT_EXCEEDED",
            "permissions",
        ),
        (
            create,
            pb2.CreateRoleRequest(scope=GLOBAL, name="x", permissions=["r" * 65]),
            "LIMIT_EXCEEDED",
            "permissions[0]",
        ),
        (update, pb2.UpdateRoleRequest(scope=ROOM, name="guard"), "FIELD_REQUIRED", "add_permissions"),
        (
            update,
            pb2.UpdateRoleRequest(
                scope=ROOM, name="guard", add_permissions=["room:join"], remove_permissions=["file:get", "room:join"]
            ),
            "FIELD_INVALID",
            "remove_permissions[1]",
        ),
        (
            update,
            pb2.UpdateRoleRequest(scope=ROOM, name="guard", add_permissions=["room:join", "user:update"]),
            "FIELD_INVALID",
            "add_permissions[1]",
        ),
        (
            update,
            pb2.UpdateRoleRequest(scope=ROOM, name="guard", remove_permissions=["room:fly"]),
            "FIELD_INVALID",
            "remove_permissions[0]",
        ),
    ]
    for call, request, reason, field in bad:
        refusal = await refused(call(request, metadata=su()), reason)
        assert refusal.metadata["field"] == field
        assert [violation.field for violation in refusal.violations] == [field]
    unfit = pb2.CreateRoleRequest(scope=ROOM, name="x", permissions=["room:get"])
    assert "room:get" in (await refused(create(unfit, metadata=su()), "FIELD_INVALID")).message
    unknown = pb2.CreateRoleRequest(name="x")
    unknown.scope = 7  # type: ignore[assignment]
    await refused(create(unknown, metadata=su()), "FIELD_INVALID")
    assert suite.database.count("rooms.roles") == 3
    assert await _get(suite, ROOM, "guard") == ["room:update"]


async def test_an_update_adds_and_removes_at_once(suite: Suite) -> None:
    await _create(suite, ROOM, "guard", "room:update", "file:get")
    request = pb2.UpdateRoleRequest(
        scope=ROOM,
        name="guard",
        add_permissions=["room:join", "room:update", "room:join"],
        remove_permissions=["file:get", "file:create", "room:leave"],
    )
    changed = (await suite.roles.UpdateRole(request, metadata=su())).role
    assert list(changed.permissions) == ["room:join", "room:update"]
    assert (await suite.roles.UpdateRole(request, metadata=su())).role == changed
    assert await _get(suite, ROOM, "guard") == ["room:join", "room:update"]
    request.name = "nobody"
    await refused(suite.roles.UpdateRole(request, metadata=su()), "ROLE_NOT_FOUND")


async def test_updates_at_once_lose_nothing(suite: Suite) -> None:
    await _create(suite, ROOM, "guard", "file:get")
    added = [one.name for one in permissions() if one.in_rooms and one.name != "file:get"]

    async def add(permission: str) -> None:
        request = pb2.UpdateRoleRequest(
            scope=ROOM, name="guard", add_permissions=[permission], remove_permissions=["file:get"]
        )
        await suite.roles.UpdateRole(request, metadata=su())

    await asyncio.gather(*(add(permission) for permission in added))
    assert await _get(suite, ROOM, "guard") == sorted(added)


async def test_roles_are_listed_by_page_global_ones_first(suite: Suite) -> None:
    for name in ("zoo", "Bob", "é"):
        await _create(suite, ROOM, name)
    await _create(suite, GLOBAL, "b")
    request = pb2.ListRolesRequest(page_size=2)
    seen: list[tuple[int, str]] = []
    while True:
        page = await suite.roles.ListRoles(request, metadata=su())
        seen.extend((role.scope, role.name) for role in page.roles)
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    everywhere = [(GLOBAL, "admin"), (GLOBAL, "b"), (GLOBAL, "default")]
    assert seen == [*everywhere, (ROOM, "Bob"), (ROOM, "zoo"), (ROOM, "é")]
    request.scope = ROOM
    await refused(suite.roles.ListRoles(request, metadata=su()), "PAGE_TOKEN_INVALID")
    listed = await suite.roles.ListRoles(pb2.ListRolesRequest(scope=ROOM), metadata=su())
    assert [role.name for role in listed.roles] == ["Bob", "zoo", "é"]
    listed = await suite.roles.ListRoles(pb2.ListRolesRequest(scope=GLOBAL, page_size=1000), metadata=su())
    assert [role.name for role in listed.roles] == ["admin", "b", "default"]
    await refused(suite.roles.ListRoles(pb2.ListRolesRequest(page_size=-1), metadata=su()), "FIELD_INVALID")


async def test_assigning_takes_the_place_of_what_was_there(rooms: Suite) -> None:
    await _create(rooms, ROOM, "guard", "room:update")
    await _create(rooms, ROOM, "scribe", "message:moderate")
    assert await _held(rooms, "bob") == [("", "default")]
    request = pb2.AssignRoleRequest(user_id="bob", role_name="admin")
    assigned = (await rooms.roles.AssignRole(request, metadata=su())).assigned_role
    assert (assigned.room_id, assigned.role.scope, assigned.role.name) == ("", GLOBAL, "admin")
    assert "room:update" in assigned.role.permissions
    request = pb2.AssignRoleRequest(user_id="bob", role_name="guard", room_id="lobby")
    assigned = (await rooms.roles.AssignRole(request, metadata=su())).assigned_role
    assert (assigned.room_id, assigned.role.scope, list(assigned.role.permissions)) == ("lobby", ROOM, ["room:update"])
    await rooms.assign("bob", "guard", "attic")
    await rooms.assign("bob", "scribe", "lobby")
    await rooms.assign("alice", "guard", "lobby")
    assert await _held(rooms, "bob") == [("", "admin"), ("attic", "guard"), ("lobby", "scribe")]
    await rooms.assign("bob", "default")
    assert await _held(rooms, "bob") == [("", "default"), ("attic", "guard"), ("lobby", "scribe")]
    assert await _held(rooms, "alice") == [("", "default"), ("lobby", "guard")]
    assert rooms.database.count("rooms.global_assignments") == 1
    assert rooms.database.count("rooms.room_assignments") == 3


async def test_of_many_assignments_at_once_one_is_left(rooms: Suite) -> None:
    names = [f"r{number}" for number in range(12)]
    for name in names:
        await _create(rooms, GLOBAL, name)
        await _create(rooms, ROOM, name)
    await asyncio.gather(
        *(rooms.assign("bob", name) for name in names), *(rooms.assign("bob", name, "lobby") for name in names)
    )
    (_, everywhere), (room_id, there) = await _held(rooms, "bob")
    assert room_id == "lobby"
    assert {everywhere, there} <= set(names)
    assert rooms.database.count("rooms.global_assignments") == 1
    assert rooms.database.count("rooms.room_assignments") == 1
    # Each of them was a change, and none was lost: three memberships, the roles, and who has them.
    assert rooms.database.changes("rooms") == 3 + 24 + 24


async def test_what_does_not_exist_can_not_be_assigned(rooms: Suite) -> None:
    await _create(rooms, ROOM, "guard")
    assign = rooms.roles.AssignRole
    nobody = pb2.AssignRoleRequest(user_id="nobody", role_name="admin")
    refusal = await refused(assign(nobody, metadata=su()), "USER_NOT_FOUND")
    assert json.loads(refusal.metadata["user_ids"]) == ["nobody"]
    nothing = pb2.AssignRoleRequest(user_id="bob", role_name="guard")
    refusal = await refused(assign(nothing, metadata=su()), "ROLE_NOT_FOUND")
    assert refusal.metadata == {"scope": "GLOBAL", "role": "guard"}
    elsewhere = pb2.AssignRoleRequest(user_id="bob", role_name="admin", room_id="lobby")
    refusal = await refused(assign(elsewhere, metadata=su()), "ROLE_NOT_FOUND")
    assert refusal.metadata == {"scope": "ROOM", "role": "admin"}
    nowhere = pb2.AssignRoleRequest(user_id="bob", role_name="guard", room_id="cellar")
    assert (await refused(assign(nowhere, metadata=su()), "ROOM_NOT_FOUND")).metadata == {"room_id": "cellar"}
    for request in (pb2.AssignRoleRequest(role_name="guard"), pb2.AssignRoleRequest(user_id="bob")):
        await refused(assign(request, metadata=su()), "FIELD_REQUIRED")
    assert rooms.database.count("rooms.global_assignments") == 0
    assert rooms.database.count("rooms.room_assignments") == 0


async def test_taking_away_is_harmless_and_needs_nobody_else(rooms: Suite) -> None:
    await _create(rooms, ROOM, "guard")
    await rooms.assign("bob", "admin")
    await rooms.assign("bob", "guard", "lobby")
    await rooms.assign("bob", "guard", "attic")
    await rooms.stop("users")
    for user_id, room_id in (("bob", ""), ("bob", "lobby"), ("bob", "lobby"), ("nobody", ""), ("bob", "cellar")):
        await _unassign(rooms, user_id, room_id)
    await rooms.start("users", listen=rooms.servers["users"].address)

    async def are_told() -> bool:
        # Rooms may still be waiting for the moment at which it tries to reach users again.
        try:
            return await _held(rooms, "bob") == [("", "default"), ("attic", "guard")]
        except grpc.aio.AioRpcError as error:
            assert error.code() is grpc.StatusCode.UNAVAILABLE  # noqa: PT017 - until it has connected
            return False

    await until(are_told)


async def test_a_deleted_role_is_nobodys(rooms: Suite) -> None:
    await _create(rooms, ROOM, "admin", "room:update")
    await rooms.assign("bob", "admin")
    await rooms.assign("bob", "admin", "lobby")
    delete = rooms.roles.DeleteRole
    await delete(pb2.DeleteRoleRequest(scope=GLOBAL, name="admin"), metadata=su())
    assert await _held(rooms, "bob") == [("", "default"), ("lobby", "admin")]
    await refused(delete(pb2.DeleteRoleRequest(scope=GLOBAL, name="admin"), metadata=su()), "ROLE_NOT_FOUND")
    await delete(pb2.DeleteRoleRequest(scope=ROOM, name="admin"), metadata=su())
    await _create(rooms, GLOBAL, "admin", "room:get")
    await _create(rooms, ROOM, "admin", "room:update")
    assert await _held(rooms, "bob") == [("", "default")]


async def test_the_global_role_default_can_not_be_deleted(suite: Suite) -> None:
    request = pb2.DeleteRoleRequest(scope=GLOBAL, name="default")
    refusal = await refused(suite.roles.DeleteRole(request, metadata=su()), "ROLE_PROTECTED")
    assert refusal.metadata == {"scope": "GLOBAL", "role": "default"}
    assert await _get(suite, GLOBAL, "default")
    await _create(suite, ROOM, "default")
    await suite.roles.DeleteRole(pb2.DeleteRoleRequest(scope=ROOM, name="default"), metadata=su())


async def test_no_assignment_outlives_its_role(rooms: Suite) -> None:
    names = [f"u{number}" for number in range(15)]
    await rooms.make_users(*names)
    await _create(rooms, GLOBAL, "brief")
    await _create(rooms, ROOM, "brief")

    async def assign(name: str, room_id: str) -> None:
        try:
            await rooms.assign(name, "brief", room_id)
        except grpc.aio.AioRpcError as error:
            assert error.code() is grpc.StatusCode.NOT_FOUND  # noqa: PT017 - the deletion came first

    async def delete(scope: role_pb2.RoleScope) -> None:
        await rooms.roles.DeleteRole(pb2.DeleteRoleRequest(scope=scope, name="brief"), metadata=su())

    work = [assign(name, room_id) for name in names for room_id in ("", "lobby")]
    await asyncio.gather(*work[:15], delete(GLOBAL), delete(ROOM), *work[15:])
    assert rooms.database.count("rooms.global_assignments") == 0
    assert rooms.database.count("rooms.room_assignments") == 0


async def test_a_users_roles_are_listed_by_page_also_where_they_do_not_count(rooms: Suite) -> None:
    await _create(rooms, ROOM, "guard", "room:update")
    names = ["Zoo", "attic", "lobby", "é", "🫎"]
    for name in ("Zoo", "é", "🫎"):
        await rooms.make_room(name, "alice")
    for name in names:
        await rooms.assign("bob", "guard", name)
    assert await _held(rooms, "bob") == [("", "default"), *((name, "guard") for name in names)]
    one = pb2.ListUserRolesRequest(user_id="bob", page_size=1)
    first = await rooms.roles.ListUserRoles(one, metadata=su())
    assert [held.room_id for held in first.assigned_roles] == [""]
    one.page_token = first.next_page_token
    (second,) = (await rooms.roles.ListUserRoles(one, metadata=su())).assigned_roles
    assert (second.room_id, list(second.role.permissions)) == ("Zoo", ["room:update"])
    one.user_id = "alice"
    await refused(rooms.roles.ListUserRoles(one, metadata=su()), "PAGE_TOKEN_INVALID")
    unknown = pb2.ListUserRolesRequest(user_id="nobody")
    await refused(rooms.roles.ListUserRoles(unknown, metadata=su()), "USER_NOT_FOUND")


async def test_a_user_who_was_created_again_has_none_of_the_roles_in_rooms(rooms: Suite) -> None:
    await _create(rooms, ROOM, "guard", "room:update")
    await rooms.assign("bob", "guard", "lobby")
    with psycopg.connect(rooms.database.superuser_dsn, autocommit=True) as connection:
        connection.execute("UPDATE users.users SET uid = gen_random_uuid() WHERE id = 'bob'")
    assert await _held(rooms, "bob") == [("", "default")]


async def test_a_role_in_a_room_outlasts_the_membership(rooms: Suite) -> None:
    await _create(rooms, ROOM, "guard", "room:update")
    await rooms.assign("bob", "guard", "lobby")
    await rooms.memberships.LeaveRoom(memberships_pb2.LeaveRoomRequest(room_id="lobby"), metadata=user("bob"))
    assert await _held(rooms, "bob") == [("", "default"), ("lobby", "guard")]


async def test_all_of_it_is_for_superusers(rooms: Suite) -> None:
    await rooms.assign("alice", "admin")
    stub = rooms.roles
    for call, request in (
        (stub.CreateRole, pb2.CreateRoleRequest(scope=GLOBAL, name="x")),
        (stub.GetRole, pb2.GetRoleRequest(scope=GLOBAL, name="admin")),
        (stub.ListRoles, pb2.ListRolesRequest()),
        (stub.UpdateRole, pb2.UpdateRoleRequest(scope=GLOBAL, name="admin", add_permissions=["room:get"])),
        (stub.DeleteRole, pb2.DeleteRoleRequest(scope=GLOBAL, name="admin")),
        (stub.AssignRole, pb2.AssignRoleRequest(user_id="alice", role_name="admin")),
        (stub.UnassignRole, pb2.UnassignRoleRequest(user_id="bob")),
        (stub.ListUserRoles, pb2.ListUserRolesRequest(user_id="alice")),
    ):
        await refused(call(request, metadata=user("alice")), "SUPERUSER_REQUIRED")
