"""Users over the wire with a real database."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import grpc
import psycopg
from chatkit.users.v1 import users_service_pb2 as pb2
from google.protobuf import field_mask_pb2, json_format, struct_pb2

from tests.support.database_clock import DatabaseClock
from tests.support.databases import TestDatabase
from tests.support.eventually import until
from tests.support.peers import Peers, serve
from tests.support.refusals import refused
from tests.support.suite import Suite, running
from tests.support.tokens import su, user

# What a replica begins a creation with.
_NEXT_TIME = (
    "UPDATE users.creation_clock SET last_time = greatest(last_time + interval '1 microsecond', clock_timestamp())"
    " RETURNING last_time"
)


def _batch(*user_ids: str) -> pb2.BatchCreateUsersRequest:
    return pb2.BatchCreateUsersRequest(requests=[pb2.CreateUserRequest(id=name, name=name) for name in user_ids])


async def test_a_created_user_is_read_as_stored(users: Suite) -> None:
    data = json_format.ParseDict({"a": [1, 2.5, None, True], "b": {"ü": "🫎"}}, struct_pb2.Struct())
    request = pb2.CreateUserRequest(id="zoë 🫎/x", name="Zoë", avatar_url="https://example.com/z.png", custom_data=data)
    created = (await users.users.CreateUser(request, metadata=su())).user
    read = (await users.users.GetUser(pb2.GetUserRequest(user_id="zoë 🫎/x"), metadata=user("bob"))).user
    assert read == created
    assert read.custom_data == data
    assert read.update_time == read.create_time
    await refused(users.users.GetUser(pb2.GetUserRequest(user_id="nope"), metadata=user("bob")), "USER_NOT_FOUND")


async def test_a_batch_is_created_whole_or_not_at_all(users: Suite) -> None:
    await users.users.BatchCreateUsers(_batch("a", "b"), metadata=su())
    taken = await refused(users.users.BatchCreateUsers(_batch("c", "b", "a"), metadata=su()), "USER_ALREADY_EXISTS")
    assert sorted(json.loads(taken.metadata["user_ids"])) == ["a", "b"]
    await refused(users.users.BatchCreateUsers(_batch("d", "d"), metadata=su()), "USER_ALREADY_EXISTS")
    eleven = _batch(*(f"u{number}" for number in range(11)))
    assert (await refused(users.users.BatchCreateUsers(eleven, metadata=su()), "LIMIT_EXCEEDED")).metadata["limit"] == (
        "USERS_PER_BATCH"
    )
    assert users.database.count("users.users") == 2


async def test_batches_that_share_ids_do_not_deadlock(users: Suite) -> None:
    names = [f"u{number}" for number in range(10)]

    async def create(ids: list[str]) -> str:
        try:
            await users.users.BatchCreateUsers(_batch(*ids), metadata=su())
        except grpc.aio.AioRpcError as error:
            return error.code().name
        return "OK"

    answers = await asyncio.gather(*(create(names if number % 2 else names[::-1]) for number in range(10)))
    assert answers.count("OK") == 1
    assert answers.count("ALREADY_EXISTS") == 9
    assert users.database.count("users.users") == 10


async def test_only_superusers_create_and_list(users: Suite) -> None:
    for call, request in (
        (users.users.CreateUser, pb2.CreateUserRequest(id="a", name="a")),
        (users.users.BatchCreateUsers, _batch("a")),
        (users.users.ListUsers, pb2.ListUsersRequest()),
    ):
        await refused(call(request, metadata=user("a")), "SUPERUSER_REQUIRED")
    assert users.database.count("users.users") == 0


async def test_several_are_read_at_once_without_the_unknown(users: Suite) -> None:
    await users.make_users("a", "b")
    request = pb2.BatchGetUsersRequest(user_ids=["b", "nope", "a", "b"])
    assert [u.id for u in (await users.users.BatchGetUsers(request, metadata=user("a"))).users] == ["b", "a"]
    many = pb2.BatchGetUsersRequest(user_ids=[f"u{number}" for number in range(251)])
    await refused(users.users.BatchGetUsers(many, metadata=user("a")), "LIMIT_EXCEEDED")


async def test_all_are_listed_by_page_from_a_time_on(users: Suite) -> None:
    await users.make_users(*(f"u{number}" for number in range(5)))
    request = pb2.ListUsersRequest(page_size=2)
    seen = []
    while True:
        page = await users.users.ListUsers(request, metadata=su())
        seen.extend(page.users)
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert [u.id for u in seen] == [f"u{number}" for number in range(5)]
    later = pb2.ListUsersRequest(min_create_time=seen[3].create_time)
    assert [u.id for u in (await users.users.ListUsers(later, metadata=su())).users] == ["u3", "u4"]
    await refused(users.users.ListUsers(pb2.ListUsersRequest(page_size=-1), metadata=su()), "FIELD_INVALID")


async def test_a_listing_passes_nobody_over_whose_creation_is_committed_late(users: Suite) -> None:
    """Another replica has given a user their time, and its transaction is held open meanwhile."""
    await users.make_users("first")
    create = pb2.CreateUserRequest(id="second", name="second")
    async with await psycopg.AsyncConnection.connect(users.database.dsn("users")) as late:
        row = await (await late.execute(_NEXT_TIME)).fetchone()
        assert row is not None
        insert = "INSERT INTO users.users (uid, id, name, avatar_url, create_time) VALUES (%s, 'late', '', '', %s)"
        await late.execute(insert, (uuid4(), row[0]))
        second = users.users.CreateUser(create, metadata=su())
        await until(lambda: _waits_for_a_lock(users.database))
        page = await users.users.ListUsers(pb2.ListUsersRequest(), metadata=su())
        assert [u.id for u in page.users] == ["first"]
        await late.commit()
        await second
    # Nobody came between, and whoever went on from the last one that was seen gets both.
    later = pb2.ListUsersRequest(min_create_time=page.users[-1].create_time)
    listed = (await users.users.ListUsers(later, metadata=su())).users
    assert [u.id for u in listed] == ["first", "late", "second"]
    times = [u.create_time.ToNanoseconds() for u in listed]
    assert len(set(times)) == 3


async def test_times_of_creation_go_forward_when_the_databases_clock_goes_back(
    database: TestDatabase, tmp_path: Path
) -> None:
    time = DatabaseClock(database, "users")
    async with serve(Peers()) as peers, running(database, tmp_path, "users", rooms_address=peers.address) as suite:
        # The template was migrated today, and the clock says another year.
        time.advance(timedelta(days=3650).total_seconds())
        await suite.make_users("a")
        time.advance(-3600)
        await suite.make_users("b")
        listed = (await suite.users.ListUsers(pb2.ListUsersRequest(), metadata=su())).users
    assert [u.id for u in listed] == ["a", "b"]
    assert listed[1].create_time.ToMicroseconds() - listed[0].create_time.ToMicroseconds() == 1


async def _waits_for_a_lock(database: TestDatabase) -> bool:
    async with await psycopg.AsyncConnection.connect(database.superuser_dsn) as connection:
        query = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        return await (await connection.execute(query)).fetchone() is not None


async def test_an_update_changes_what_it_names_and_replaces_custom_data_whole(users: Suite) -> None:
    data = json_format.ParseDict({"old": 1}, struct_pb2.Struct())
    create = pb2.CreateUserRequest(id="a", name="A", avatar_url="https://example.com/a", custom_data=data)
    before = (await users.users.CreateUser(create, metadata=su())).user
    new = json_format.ParseDict({"new": 2}, struct_pb2.Struct())
    changed = (await users.users.UpdateUser(pb2.UpdateUserRequest(custom_data=new), metadata=user("a"))).user
    assert (changed.name, changed.avatar_url, changed.custom_data) == ("A", "https://example.com/a", new)
    assert changed.update_time.ToNanoseconds() > before.update_time.ToNanoseconds()
    # {} is custom data like any other, and not the same as none.
    emptied = pb2.UpdateUserRequest(custom_data=struct_pb2.Struct())
    await users.users.UpdateUser(emptied, metadata=user("a"))
    read = (await users.users.GetUser(pb2.GetUserRequest(user_id="a"), metadata=user("a"))).user
    assert (read.name, read.HasField("custom_data"), dict(read.custom_data)) == ("A", True, {})
    mask = field_mask_pb2.FieldMask(paths=["avatar_url", "custom_data"])
    cleared = (await users.users.UpdateUser(pb2.UpdateUserRequest(update_mask=mask), metadata=user("a"))).user
    assert (cleared.avatar_url, cleared.HasField("custom_data")) == ("", False)
    other = pb2.UpdateUserRequest(user_id="a", name="mine")
    await refused(users.users.UpdateUser(other, metadata=user("b")), "SUBJECT_MISMATCH")
    assert (await users.users.UpdateUser(other, metadata=su())).user.name == "mine"


async def test_an_update_that_changes_nothing_moves_nothing(users: Suite) -> None:
    kept = {"b": {"ü": "🫎"}, "a": [1, 0.5, 1e300, True, None]}
    data = json_format.ParseDict(kept, struct_pb2.Struct())
    create = pb2.CreateUserRequest(id="a", name="A", custom_data=data)
    created = (await users.users.CreateUser(create, metadata=su())).user
    mask = field_mask_pb2.FieldMask(paths=["name", "avatar_url"])
    for same in (
        pb2.UpdateUserRequest(user_id="a", name="A"),
        pb2.UpdateUserRequest(user_id="a", name="A", custom_data=data),
        pb2.UpdateUserRequest(user_id="a", name="A", update_mask=mask),
    ):
        assert (await users.users.UpdateUser(same, metadata=su())).user == created
        same.user_id = "nobody"
        await refused(users.users.UpdateUser(same, metadata=su()), "USER_NOT_FOUND")
    assert (await users.users.GetUser(pb2.GetUserRequest(user_id="a"), metadata=user("a"))).user == created
    assert users.database.changes("users") == 0
    # Of two fields one is another one: true is not 1.
    other = json_format.ParseDict({**kept, "a": [True, 0.5, 1e300, True, None]}, struct_pb2.Struct())
    changed = (
        await users.users.UpdateUser(pb2.UpdateUserRequest(name="A", custom_data=other), metadata=user("a"))
    ).user
    assert changed.update_time.ToNanoseconds() > created.update_time.ToNanoseconds()
    assert users.database.changes("users") == 1


async def test_a_rooms_of_the_release_before_asks_for_no_permission(database: TestDatabase, tmp_path: Path) -> None:
    async with (
        serve(Peers(is_of_the_release_before=True)) as peers,
        running(database, tmp_path, "users", rooms_address=peers.address) as suite,
    ):
        await suite.make_users("bob")
        for count in (1, 2):
            await suite.users.GetUser(pb2.GetUserRequest(user_id="bob"), metadata=user("bob"))
            assert peers.asked_about["bob"] == count
        peers.is_of_the_release_before = False
        peers.denied["bob"] = {"user:get"}
        refusal = suite.users.GetUser(pb2.GetUserRequest(user_id="bob"), metadata=user("bob"))
        await refused(refusal, "PERMISSION_MISSING")
