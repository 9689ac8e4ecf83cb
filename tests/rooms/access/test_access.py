"""What roles and memberships let users do: through the methods themselves, and through AccessService."""

import asyncio
import itertools
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import grpc
import psycopg
import pytest
from chatkit.contract.v1 import error_reason_pb2, method_policy_pb2
from chatkit.internal.access.v1 import access_service_pb2 as pb2
from chatkit.internal.access.v1.access_service_pb2_grpc import AccessServiceStub
from chatkit.rooms.v1 import memberships_service_pb2 as memberships_pb2
from chatkit.rooms.v1 import role_pb2
from chatkit.rooms.v1 import roles_service_pb2 as roles_pb2
from chatkit.rooms.v1 import rooms_service_pb2 as rooms_pb2
from chatkit.users.v1 import users_service_pb2 as users_pb2

from services.rooms.access.service import Access
from services.rooms.access.store import AccessStore
from services.runtime.contract.errors import NotFound, PermissionDenied, from_rpc_error
from services.runtime.contract.policies import permissions
from services.runtime.ids import RoomId, UserId
from tests.support.refusals import refused
from tests.support.suite import Suite
from tests.support.tokens import Metadata, service, su, user

GLOBAL, ROOM = role_pb2.ROLE_SCOPE_GLOBAL, role_pb2.ROLE_SCOPE_ROOM
REQUIRED = method_policy_pb2.MEMBERSHIP_REQUIRED
UNLESS_PUBLIC = method_policy_pb2.MEMBERSHIP_REQUIRED_UNLESS_PUBLIC
NOT_REQUIRED = method_policy_pb2.MEMBERSHIP_NOT_REQUIRED
UNSPECIFIED = method_policy_pb2.MEMBERSHIP_UNSPECIFIED


def _service() -> Metadata:
    """Sign a token when it is used: it lives for a minute."""
    return service("messages", "rooms")


@pytest.fixture
async def rooms(suite: Suite) -> Suite:
    """Run the suite with a public and a private room of alice and bob, and some roles."""
    await suite.make_users("alice", "bob", "carol")
    await suite.make_room("public", "alice", "bob")
    await suite.make_room("private", "alice", "bob", private=True)
    for scope, name, granted in (
        (GLOBAL, "nothing", []),
        (GLOBAL, "reader", ["room:get", "room:messages:get"]),
        (ROOM, "editor", ["room:update"]),
        (ROOM, "leaver", ["room:leave"]),
    ):
        request = roles_pb2.CreateRoleRequest(scope=scope, name=name, permissions=granted)
        await suite.roles.CreateRole(request, metadata=su())
    return suite


def _stub(suite: Suite) -> AccessServiceStub:
    return AccessServiceStub(suite.channel("rooms"))


def _question(room_id: str = "", user_id: str = "bob", **asked: Any) -> pb2.CheckAccessRequest:
    return pb2.CheckAccessRequest(room_id=room_id, user_id=user_id, **asked)


async def _check(suite: Suite, request: pb2.CheckAccessRequest) -> pb2.CheckAccessResponse:
    answer: pb2.CheckAccessResponse = await _stub(suite).CheckAccess(request, metadata=_service())
    return answer


def _rename(suite: Suite, who: str, room_id: str = "public") -> Any:
    return suite.rooms.UpdateRoom(rooms_pb2.UpdateRoomRequest(room_id=room_id, name="x"), metadata=user(who))


async def _join(suite: Suite, who: str) -> None:
    await suite.memberships.JoinRoom(memberships_pb2.JoinRoomRequest(room_id="public"), metadata=user(who))


async def _leave(suite: Suite, who: str) -> None:
    await suite.memberships.LeaveRoom(memberships_pb2.LeaveRoomRequest(room_id="public"), metadata=user(who))


async def test_a_change_of_the_global_role_acts_on_the_next_call(rooms: Suite) -> None:
    refusal = await refused(_rename(rooms, "bob"), "PERMISSION_MISSING")
    assert refusal.metadata == {"permission": "room:update"}
    await rooms.assign("bob", "admin")
    await _rename(rooms, "bob")
    await rooms.roles.UnassignRole(roles_pb2.UnassignRoleRequest(user_id="bob"), metadata=su())
    await refused(_rename(rooms, "bob"), "PERMISSION_MISSING")
    await rooms.assign("bob", "nothing")
    created = rooms_pb2.CreateRoomRequest(id="mine", name="mine", visibility="VISIBILITY_PUBLIC")
    await refused(rooms.rooms.CreateRoom(created, metadata=user("bob")), "PERMISSION_MISSING")
    await rooms.rooms.CreateRoom(created, metadata=user("alice"))


async def test_a_change_of_what_a_role_grants_acts_on_the_next_call(rooms: Suite) -> None:
    changed = roles_pb2.UpdateRoleRequest(scope=GLOBAL, name="default", add_permissions=["room:update"])
    await rooms.roles.UpdateRole(changed, metadata=su())
    await _rename(rooms, "bob")
    changed = roles_pb2.UpdateRoleRequest(scope=GLOBAL, name="default", remove_permissions=["room:update", "room:get"])
    await rooms.roles.UpdateRole(changed, metadata=su())
    await refused(_rename(rooms, "bob"), "PERMISSION_MISSING")
    read = rooms_pb2.GetRoomRequest(room_id="public")
    await refused(rooms.rooms.GetRoom(read, metadata=user("bob")), "PERMISSION_MISSING")
    await rooms.assign("bob", "reader")
    await rooms.rooms.GetRoom(read, metadata=user("bob"))
    await rooms.roles.DeleteRole(roles_pb2.DeleteRoleRequest(scope=GLOBAL, name="reader"), metadata=su())
    await refused(rooms.rooms.GetRoom(read, metadata=user("bob")), "PERMISSION_MISSING")


async def test_a_role_in_a_room_counts_there_and_only_while_one_is_a_member(rooms: Suite) -> None:
    await rooms.assign("bob", "editor", "public")
    await _rename(rooms, "bob")
    await refused(_rename(rooms, "bob", "private"), "PERMISSION_MISSING")
    await _leave(rooms, "bob")
    await refused(_rename(rooms, "bob"), "ROOM_ACCESS_DENIED")
    await _join(rooms, "bob")
    await _rename(rooms, "bob")
    await rooms.roles.UnassignRole(roles_pb2.UnassignRoleRequest(user_id="bob", room_id="public"), metadata=su())
    await refused(_rename(rooms, "bob"), "PERMISSION_MISSING")


async def test_both_roles_together_are_what_counts(rooms: Suite) -> None:
    await rooms.assign("bob", "reader")
    await rooms.assign("bob", "editor", "public")
    await _rename(rooms, "bob")
    await rooms.rooms.GetRoom(rooms_pb2.GetRoomRequest(room_id="public"), metadata=user("bob"))
    added = memberships_pb2.AddMembersRequest(room_id="public", user_ids=["carol"])
    await refused(rooms.memberships.AddMembers(added, metadata=user("bob")), "PERMISSION_MISSING")


async def test_whoever_is_outside_is_told_the_same_of_every_room_whatever_their_roles(rooms: Suite) -> None:
    told = set()
    for role in ("default", "nothing", "admin"):
        await rooms.assign("carol", role)
        for room_id in ("public", "private", "nope"):
            refusal = await refused(_rename(rooms, "carol", room_id), "ROOM_ACCESS_DENIED")
            told.add((refusal.message, tuple(refusal.metadata), refusal.metadata["room_id"] == room_id))
    assert len(told) == 1


async def test_a_public_room_asks_for_the_permission_only(rooms: Suite) -> None:
    read = rooms.rooms.GetRoom
    public, private = (rooms_pb2.GetRoomRequest(room_id=room_id) for room_id in ("public", "private"))
    assert list((await read(public, metadata=user("carol"))).membership.user_ids) == ["alice", "bob"]
    await refused(read(private, metadata=user("carol")), "ROOM_ACCESS_DENIED")
    await rooms.assign("carol", "nothing")
    await refused(read(public, metadata=user("carol")), "PERMISSION_MISSING")
    await refused(read(private, metadata=user("carol")), "ROOM_ACCESS_DENIED")
    await rooms.assign("bob", "reader")
    assert list((await read(private, metadata=user("bob"))).membership.user_ids) == ["alice", "bob"]


async def _permissions(rooms: Suite, room_id: str, metadata: Metadata, user_id: str = "") -> tuple[set[str], bool]:
    request = rooms_pb2.GetMyPermissionsRequest(room_id=room_id, user_id=user_id)
    answer = await rooms.rooms.GetMyPermissions(request, metadata=metadata)
    assert list(answer.permissions) == sorted(set(answer.permissions))
    return set(answer.permissions), answer.is_member


async def _granted(rooms: Suite, room_id: str, user_id: str) -> set[str]:
    """Return the permissions that CheckAccess grants, asked for one by one."""
    granted = set()
    for permission in permissions():
        question = _question(room_id, user_id, membership=UNLESS_PUBLIC, permission=permission.name)
        try:
            await _check(rooms, question)
        except grpc.aio.AioRpcError as error:
            if from_rpc_error(error, "rooms").reason != "PERMISSION_MISSING":
                raise
        else:
            granted.add(permission.name)
    return granted


async def test_ones_permissions_in_a_room_are_those_that_access_grants(rooms: Suite) -> None:
    await rooms.assign("bob", "editor", "public")
    # carol has a role in a room of which she is no member any more.
    await _join(rooms, "carol")
    await rooms.assign("carol", "reader")
    await rooms.assign("carol", "leaver", "public")
    in_the_room = await _permissions(rooms, "public", user("carol"))
    await _leave(rooms, "carol")
    for who, room_id, is_member in (
        ("alice", "public", True),
        ("bob", "public", True),
        ("bob", "private", True),
        ("carol", "public", False),
    ):
        assert await _permissions(rooms, room_id, user(who)) == (await _granted(rooms, room_id, who), is_member)
    assert in_the_room == ({"room:get", "room:messages:get", "room:leave"}, True)
    assert await _permissions(rooms, "public", user("carol")) == ({"room:get", "room:messages:get"}, False)
    defaults = {permission.name for permission in permissions() if permission.in_default_role}
    assert await _permissions(rooms, "public", user("bob")) == (defaults | {"room:update"}, True)


async def test_whose_permissions_may_be_read(rooms: Suite) -> None:
    await rooms.assign("bob", "editor", "private")
    of_bob = await _permissions(rooms, "private", user("bob"))
    # A token with `su` reads anyone's, and what it may do itself adds nothing.
    assert await _permissions(rooms, "private", su(), "bob") == of_bob
    assert await _permissions(rooms, "private", su("bob")) == of_bob
    assert await _permissions(rooms, "private", su(), "carol") == (of_bob[0] - {"room:update"}, False)
    read = rooms.rooms.GetMyPermissions
    for metadata, room_id, user_id, reason in (
        (user("carol"), "private", "", "ROOM_ACCESS_DENIED"),
        (user("carol"), "nope", "", "ROOM_ACCESS_DENIED"),
        (user("carol"), "public", "bob", "SUBJECT_MISMATCH"),
        (su(), "nope", "bob", "ROOM_NOT_FOUND"),
        (su(), "public", "nobody", "USER_NOT_FOUND"),
        (su(), "public", "", "SUBJECT_REQUIRED"),
    ):
        request = rooms_pb2.GetMyPermissionsRequest(room_id=room_id, user_id=user_id)
        await refused(read(request, metadata=metadata), reason)


async def test_a_room_that_goes_while_its_permissions_are_read_is_as_unknown_as_any() -> None:
    async def gone(*_: object) -> None:
        return None

    access = Access(cast("AccessStore", SimpleNamespace(permissions=gone, standings_of_users=None)))
    for superuser, expected in ((False, PermissionDenied), (True, NotFound)):
        with pytest.raises(expected, match="room"):
            await access.permissions(RoomId("lobby"), UserId("bob"), superuser=superuser)


async def test_where_no_membership_is_asked_for_the_permission_is(rooms: Suite) -> None:
    for who in ("bob", "carol"):
        await rooms.assign(who, "nothing")
    joined = memberships_pb2.JoinRoomRequest(room_id="public")
    await refused(rooms.memberships.JoinRoom(joined, metadata=user("carol")), "PERMISSION_MISSING")
    for room_id in ("public", "private", "nope"):
        left = memberships_pb2.LeaveRoomRequest(room_id=room_id)
        await refused(rooms.memberships.LeaveRoom(left, metadata=user("bob")), "PERMISSION_MISSING")
    for who in ("bob", "carol"):
        await rooms.assign(who, "leaver", "public")
    # The role counts for bob, who is a member, and not for carol.
    await _leave(rooms, "bob")
    left = memberships_pb2.LeaveRoomRequest(room_id="public")
    await refused(rooms.memberships.LeaveRoom(left, metadata=user("carol")), "PERMISSION_MISSING")
    await refused(rooms.memberships.LeaveRoom(left, metadata=user("bob")), "PERMISSION_MISSING")


async def test_other_services_ask_the_same_question(rooms: Suite) -> None:
    renamed = users_pb2.UpdateUserRequest(name="Bob")
    await refused(rooms.users.UpdateUser(renamed, metadata=user("bob")), "PERMISSION_MISSING")
    await rooms.assign("bob", "admin")
    await rooms.users.UpdateUser(renamed, metadata=user("bob"))
    await rooms.assign("bob", "nothing")
    await refused(
        rooms.users.GetUser(users_pb2.GetUserRequest(user_id="bob"), metadata=user("bob")), "PERMISSION_MISSING"
    )


async def test_superusers_need_neither_and_are_told_what_is_not_there(rooms: Suite) -> None:
    await _check(rooms, _question("private", "", superuser=True, membership=REQUIRED, permission="room:delete"))
    await _check(rooms, _question("nope", "", superuser=True, membership=NOT_REQUIRED, permission="room:join"))
    await _check(rooms, _question("", "", superuser=True, permission="user:update"))
    answer = await _check(rooms, _question("private", "bob", superuser=True, permission="room:get"))
    assert (len(answer.room_uid), len(answer.user_uid), list(answer.roles)) == (16, 16, [])
    for membership in (REQUIRED, UNLESS_PUBLIC, UNSPECIFIED):
        asked = _stub(rooms).CheckAccess(_question("nope", superuser=True, membership=membership), metadata=_service())
        assert (await refused(asked, "ROOM_NOT_FOUND")).metadata == {"room_id": "nope"}


async def test_an_answer_says_what_it_depends_on(rooms: Suite) -> None:
    everywhere, there = pb2.RoleName(scope=GLOBAL, name="default"), pb2.RoleName(scope=ROOM, name="editor")
    before = rooms.database.changes("rooms")
    for user_id in ("bob", "carol"):
        await rooms.assign(user_id, "editor", "public")
    await rooms.database.ordered("rooms")
    answer = await _check(rooms, _question("public", permission="room:update"))
    assert list(answer.roles) == [everywhere, there]
    assert answer.version == before + 2
    assert (len(answer.room_uid), len(answer.user_uid)) == (16, 16)
    assert list((await _check(rooms, _question("private", permission="room:get"))).roles) == [everywhere]
    outside = await _check(rooms, _question("public", "carol", permission="room:get", membership=UNLESS_PUBLIC))
    assert (list(outside.roles), len(outside.room_uid), outside.user_uid) == ([everywhere], 16, b"")
    assert list((await _check(rooms, _question(permission="room:create"))).roles) == [everywhere]
    await rooms.assign("bob", "reader")
    answer = await _check(rooms, _question("nope", permission="room:get", membership=NOT_REQUIRED))
    assert list(answer.roles) == [pb2.RoleName(scope=GLOBAL, name="reader")]
    assert (answer.room_uid, answer.user_uid) == (b"", b"")
    assert list((await _check(rooms, _question("public"))).roles) == []


async def test_nobody_has_the_roles_of_nobody(rooms: Suite) -> None:
    stub = _stub(rooms)
    await refused(
        stub.CheckAccess(_question("", "", permission="room:get"), metadata=_service()),
        "FIELD_REQUIRED",
    )
    many = pb2.BatchCheckAccessRequest(room_ids=["public"], membership=NOT_REQUIRED)
    refusal = await refused(stub.BatchCheckAccess(many, metadata=_service()), "FIELD_REQUIRED")
    assert refusal.metadata == {"field": "user_id"}


async def test_a_batch_answers_each_room_as_one_question_would_in_the_order_asked(rooms: Suite) -> None:
    await rooms.assign("bob", "editor", "private")
    await rooms.assign("carol", "admin")
    await rooms.database.ordered("rooms")
    room_ids = ["private", "nope", "public", "private"]
    memberships = (UNSPECIFIED, REQUIRED, UNLESS_PUBLIC, NOT_REQUIRED)
    permissions = ("room:update", "room:get", "")
    for who, membership, permission, is_su in itertools.product(
        ("bob", "carol"), memberships, permissions, (False, True)
    ):
        asked: dict[str, Any] = {"membership": membership, "permission": permission, "superuser": is_su}
        many = pb2.BatchCheckAccessRequest(room_ids=room_ids, user_id=who, **asked)
        answers = (await _stub(rooms).BatchCheckAccess(many, metadata=_service())).answers
        assert len(answers) == len(room_ids)
        for room_id, answer in zip(room_ids, answers, strict=True):
            question = _question(room_id, who, **asked)
            if answer.HasField("granted"):
                assert await _check(rooms, question) == answer.granted
            else:
                reason = error_reason_pb2.ErrorReason.Name(answer.refusal)
                await refused(_stub(rooms).CheckAccess(question, metadata=_service()), reason)


async def test_many_users_are_answered_as_each_of_them(rooms: Suite) -> None:
    await rooms.assign("carol", "admin")
    await rooms.database.ordered("rooms")
    user_ids = ["bob", "carol", "nobody", "bob"]
    for permission in ("room:delete", "user:get"):
        many = pb2.BatchCheckUsersRequest(user_ids=user_ids, permission=permission)
        answers = (await _stub(rooms).BatchCheckUsers(many, metadata=_service())).answers
        assert len(answers) == len(user_ids)
        for user_id, answer in zip(user_ids, answers, strict=True):
            question = _question("", user_id, permission=permission)
            if answer.HasField("granted"):
                assert await _check(rooms, question) == answer.granted
            else:
                reason = error_reason_pb2.ErrorReason.Name(answer.refusal)
                await refused(_stub(rooms).CheckAccess(question, metadata=_service()), reason)
    nothing = pb2.BatchCheckUsersRequest(user_ids=user_ids)
    await refused(_stub(rooms).BatchCheckUsers(nothing, metadata=_service()), "FIELD_REQUIRED")


async def test_a_batch_has_up_to_a_thousand_rooms(rooms: Suite) -> None:
    with psycopg.connect(rooms.database.superuser_dsn, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO rooms.rooms (uid, id, name, visibility, creator_id, member_count)"
            " SELECT gen_random_uuid(), 'r' || n, 'r', 2, 'bob', 1 FROM generate_series(1, 998) n"
        )
        connection.execute(
            "INSERT INTO rooms.memberships (room_uid, user_uid, room_id, user_id)"
            " SELECT uid, gen_random_uuid(), id, 'bob' FROM rooms.rooms WHERE id LIKE 'r%' AND right(id, 1) <> '7'"
        )
    await rooms.database.ordered("rooms")
    room_ids = ["public", "private", *(f"r{number}" for number in range(1, 999))]
    many = pb2.BatchCheckAccessRequest(room_ids=room_ids, user_id="bob", permission="room:get")
    answers = (await _stub(rooms).BatchCheckAccess(many, metadata=_service())).answers
    granted = [room_id for room_id, answer in zip(room_ids, answers, strict=True) if answer.HasField("granted")]
    assert granted == [room_id for room_id in room_ids if not room_id.endswith("7")]
    versions = {answer.granted.version for answer in answers if answer.HasField("granted")}
    assert versions == {rooms.database.count("rooms.changes")}
    many.room_ids.append("one more")
    refusal = await refused(_stub(rooms).BatchCheckAccess(many, metadata=_service()), "LIMIT_EXCEEDED")
    assert refusal.metadata["limit"] == "ROOMS_PER_SUBSCRIPTION"
    empty = pb2.BatchCheckAccessRequest(user_id="bob")
    await refused(_stub(rooms).BatchCheckAccess(empty, metadata=_service()), "FIELD_REQUIRED")


async def test_an_answers_state_has_every_change_up_to_its_version(rooms: Suite) -> None:
    comers = [f"comer-{number}" for number in range(40)]
    await rooms.make_users(*comers)
    first = (await _check(rooms, _question("public", "alice"))).version
    done = asyncio.Event()

    async def come() -> None:
        for user_id in comers:
            await _join(rooms, user_id)
        await rooms.database.ordered("rooms")
        done.set()

    async def look() -> list[int]:
        behind, seen = [], set[int]()
        number = 0
        while not done.is_set():
            many = pb2.BatchCheckAccessRequest(room_ids=["public"], user_id=comers[number], membership=UNLESS_PUBLIC)
            (answer,) = (await _stub(rooms).BatchCheckAccess(many, metadata=_service())).answers
            single = await _check(rooms, _question("public", comers[number], membership=UNLESS_PUBLIC))
            # The change after the first makes the first of them a member, and so on.
            for one in (answer.granted, single):
                seen.add(one.version - first)
                if one.version - first > number and not one.user_uid:
                    behind.append(number)
            # Whoever comes with the next change that may have a version.
            number = min(max(seen), len(comers) - 1)
        assert len(seen) > 1
        return behind

    _, *behind = await asyncio.gather(come(), look(), look())
    assert behind == [[], []]


async def _rooms_of(suite: Suite, user_id: str, permission: str = "", page_size: int = 2) -> list[str]:
    request = pb2.ListRoomsOfRequest(user_id=user_id, permission=permission, page_size=page_size)
    seen: list[str] = []
    while True:
        page = await _stub(suite).ListRoomsOf(request, metadata=_service())
        assert len(page.rooms) <= page_size
        assert page.version > 0
        assert all(len(room.room_uid) == len(room.user_uid) == 16 for room in page.rooms)
        seen.extend(room.room_id for room in page.rooms)
        if not page.next_page_token:
            return seen
        request.page_token = page.next_page_token


async def test_a_users_rooms_are_listed_where_a_role_grants_it(rooms: Suite) -> None:
    names = ["Zoo", "private", "public", "x", "é", "🫎"]
    for name in ("Zoo", "x", "é", "🫎"):
        await rooms.make_room(name, "bob")
    assert await _rooms_of(rooms, "bob") == names
    assert await _rooms_of(rooms, "bob", "room:get") == names
    assert await _rooms_of(rooms, "bob", "room:update") == []
    for name in ("public", "é", "Zoo"):
        await rooms.assign("bob", "editor", name)
    assert await _rooms_of(rooms, "bob", "room:update") == ["Zoo", "public", "é"]
    await _leave(rooms, "bob")
    assert await _rooms_of(rooms, "bob", "room:update") == ["Zoo", "é"]
    await rooms.assign("bob", "admin")
    assert await _rooms_of(rooms, "bob", "room:update") == [name for name in names if name != "public"]
    await rooms.assign("bob", "nothing")
    assert await _rooms_of(rooms, "bob", "room:get") == []
    assert await _rooms_of(rooms, "bob", "room:update") == ["Zoo", "é"]
    assert await _rooms_of(rooms, "nobody", "room:get") == []


async def test_a_page_of_rooms_is_bound_to_its_question(rooms: Suite) -> None:
    request = pb2.ListRoomsOfRequest(user_id="bob", page_size=1)
    first = await _stub(rooms).ListRoomsOf(request, metadata=_service())
    request.page_token = first.next_page_token
    request.permission = "room:get"
    await refused(_stub(rooms).ListRoomsOf(request, metadata=_service()), "PAGE_TOKEN_INVALID")
    request.permission = ""
    request.user_id = "alice"
    await refused(_stub(rooms).ListRoomsOf(request, metadata=_service()), "PAGE_TOKEN_INVALID")
    await refused(_stub(rooms).ListRoomsOf(pb2.ListRoomsOfRequest(), metadata=_service()), "FIELD_REQUIRED")


async def test_members_are_told_from_others(rooms: Suite) -> None:
    async def members(room_id: str, *user_ids: str) -> set[bytes]:
        request = pb2.FilterMembersRequest(room_id=room_id, user_ids=user_ids)
        return set((await _stub(rooms).FilterMembers(request, metadata=_service())).user_uids)

    alice, bob = [await members("public", name) for name in ("alice", "bob")]
    assert len(alice) == len(bob) == 1
    assert all(len(uid) == 16 for uid in alice | bob)
    assert await members("public", "alice", "nobody", "bob") == alice | bob
    await _leave(rooms, "bob")
    assert await members("public", "alice", "bob") == alice
    assert await members("no room", "alice", "bob") == await members("public") == set()
    too_many = [f"user {n}" for n in range(251)]
    await refused(
        _stub(rooms).FilterMembers(pb2.FilterMembersRequest(room_id="public", user_ids=too_many), metadata=_service()),
        "LIMIT_EXCEEDED",
    )


async def test_members_of_many_rooms_are_told_from_others_by_uids(rooms: Suite) -> None:
    with psycopg.connect(rooms.database.superuser_dsn) as connection:
        rows = connection.execute("SELECT room_id, user_id, room_uid, user_uid FROM rooms.memberships").fetchall()
    by_name = {row[name]: row[uid].bytes for row in rows for name, uid in ((0, 2), (1, 3))}
    alice, bob, nobody = by_name["alice"], by_name["bob"], uuid4().bytes

    async def members(*asked: tuple[bytes, list[bytes]]) -> dict[bytes, set[bytes]]:
        request = pb2.BatchFilterMembersRequest()
        for room_uid, user_uids in asked:
            request.rooms.add(room_uid=room_uid, user_uids=user_uids)
        answer = await _stub(rooms).BatchFilterMembers(request, metadata=_service())
        return {room.room_uid: set(room.user_uids) for room in answer.rooms}

    public, private = by_name["public"], by_name["private"]
    await _leave(rooms, "bob")
    # What is asked about one room is not answered of another, and a room may be asked about twice.
    asked = (public, [alice, bob, nobody]), (private, [alice]), (nobody, [alice]), (private, [nobody, bob])
    assert await members(*asked) == {public: {alice}, private: {alice, bob}}
    assert await members((public, [bob]), (private, [nobody])) == {}
    for wrong in ((b"short", [alice]), (public, [b"short"])):
        await refused(members(wrong), "FIELD_INVALID")
    await refused(members((public, [alice] * 251)), "LIMIT_EXCEEDED")
    await refused(members(), "FIELD_REQUIRED")


async def test_it_is_for_services_only(rooms: Suite) -> None:
    stub = _stub(rooms)
    for call, request in (
        (stub.BatchCheckAccess, pb2.BatchCheckAccessRequest(room_ids=["public"], user_id="bob")),
        (stub.ListRoomsOf, pb2.ListRoomsOfRequest(user_id="bob")),
        (stub.FilterMembers, pb2.FilterMembersRequest(room_id="public", user_ids=["bob"])),
        (stub.BatchFilterMembers, pb2.BatchFilterMembersRequest(rooms=[pb2.UsersOfRoom(room_uid=bytes(16))])),
    ):
        await refused(call(request, metadata=su()), "SERVICE_REQUIRED")
        await refused(call(request, metadata=service("messages", "users")), "TOKEN_INVALID")


@pytest.mark.parametrize("room_id", ["public", ""])
async def test_a_rule_that_is_none_of_one_room_is_refused_by_its_field(rooms: Suite, room_id: str) -> None:
    per_room = method_policy_pb2.MEMBERSHIP_REQUIRED_PER_ROOM
    asked = _stub(rooms).CheckAccess(_question(room_id, membership=per_room), metadata=_service())
    assert (await refused(asked, "FIELD_INVALID")).metadata == {"field": "membership"}
    many = pb2.BatchCheckAccessRequest(room_ids=[room_id or "private"], user_id="bob", membership=per_room)
    refusal = await refused(_stub(rooms).BatchCheckAccess(many, metadata=_service()), "FIELD_INVALID")
    assert refusal.metadata == {"field": "membership"}
