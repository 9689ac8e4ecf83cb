"""Erasing what rooms has of a user: memberships, roles and names go, others are told, and nothing comes again."""

import psycopg
import pytest
from chatkit.internal.erasure.v1 import erasure_service_pb2 as pb2
from chatkit.internal.erasure.v1.erasure_service_pb2_grpc import ErasureServiceStub
from chatkit.rooms.v1 import memberships_service_pb2 as memberships_pb2
from chatkit.rooms.v1 import rooms_service_pb2 as rooms_pb2

from tests.rooms.user_streams.reading import reading
from tests.support.databases import TestDatabase
from tests.support.refusals import refused
from tests.support.suite import Suite
from tests.support.tokens import service, su, user


@pytest.fixture
async def rooms(suite: Suite) -> Suite:
    """Run the suite with alice, who is in rooms with bob, and has created some."""
    await suite.make_users("alice", "bob", "carol")
    await suite.make_room("lobby", "alice", "bob")
    await suite.make_room("attic", "bob", "alice", "carol")
    await suite.assign("alice", "admin")
    request = rooms_pb2.GetOrCreateDirectRoomRequest(other_user_id="bob")
    await suite.rooms.GetOrCreateDirectRoom(request, metadata=user("alice"))
    left = rooms_pb2.CreateRoomRequest(name="left", visibility="VISIBILITY_PUBLIC", request_id="a request of alice's")
    room_id = (await suite.rooms.CreateRoom(left, metadata=user("alice"))).room.id
    await suite.memberships.LeaveRoom(memberships_pb2.LeaveRoomRequest(room_id=room_id), metadata=user("alice"))
    return suite


def _uid(database: TestDatabase) -> bytes:
    with psycopg.connect(database.superuser_dsn) as connection:
        (found,) = connection.execute("SELECT uid FROM users.users WHERE id = 'alice'").fetchall()
    return bytes(found[0].bytes)


def _all_rows(database: TestDatabase) -> str:
    with psycopg.connect(database.superuser_dsn) as connection:
        tables = connection.execute("""
            SELECT table_schema || '.' || table_name FROM information_schema.tables
            WHERE table_schema = 'rooms' AND table_name <> 'fences'
        """).fetchall()
        return " ".join(str(connection.execute(f"SELECT * FROM {table}").fetchall()) for (table,) in tables)


async def _erase(rooms: Suite, database: TestDatabase) -> bool:
    stub = ErasureServiceStub(rooms.channel("rooms"))
    request = pb2.EraseRequest(user=pb2.ErasedUser(uid=_uid(database), id="alice"))
    answer: pb2.EraseResponse = await stub.Erase(request, metadata=service("users", "rooms"))
    return answer.is_done


async def test_nothing_names_the_user_any_more_and_others_are_told(rooms: Suite, database: TestDatabase) -> None:
    assert "alice" in _all_rows(database)
    async with reading(rooms, "bob") as reader:
        await reader.until("caught_up")
        assert await _erase(rooms, database)
        told = [(await reader.until("member_left"))[-1] for _ in range(3)]
    assert {event.member_left.user_id for event in told} == {"alice"}
    assert len({event.member_left.room_id for event in told}) == 3
    rows = _all_rows(database)
    with psycopg.connect(database.superuser_dsn) as connection:
        (uid,) = connection.execute("SELECT uid::text FROM users.users WHERE id = 'alice'").fetchone() or ("",)
    for word in ("alice", uid):
        assert word not in rows
    mine = await rooms.rooms.ListUserRooms(rooms_pb2.ListUserRoomsRequest(), metadata=user("bob"))
    assert [(room.creator_id, room.member_count) for room in mine.rooms if room.id == "lobby"] == [("", 1)]
    (direct,) = [room for room in mine.rooms if room.id not in {"lobby", "attic"}]
    assert (list(direct.direct_user_ids), direct.member_count) == (["bob"], 1)
    # It stays one of two.
    added = memberships_pb2.AddMembersRequest(room_id=direct.id, user_ids=["carol"])
    await refused(rooms.memberships.AddMembers(added, metadata=su()), "DIRECT_ROOM")
    # Also a second time.
    assert await _erase(rooms, database)


async def test_nothing_of_theirs_comes_into_being_any_more(rooms: Suite, database: TestDatabase) -> None:
    assert await _erase(rooms, database)
    # Users, as it is here, still says that they exist.
    created = rooms_pb2.CreateRoomRequest(id="new", name="new", visibility="VISIBILITY_PUBLIC")
    await refused(rooms.rooms.CreateRoom(created, metadata=user("alice")), "USER_NOT_FOUND")
    added = memberships_pb2.AddMembersRequest(room_id="attic", user_ids=["alice"])
    await refused(rooms.memberships.AddMembers(added, metadata=su()), "USER_NOT_FOUND")
    await refused(
        rooms.memberships.JoinRoom(memberships_pb2.JoinRoomRequest(room_id="attic"), metadata=user("alice")),
        "USER_NOT_FOUND",
    )
    direct = rooms_pb2.GetOrCreateDirectRoomRequest(other_user_id="alice")
    await refused(rooms.rooms.GetOrCreateDirectRoom(direct, metadata=user("bob")), "USER_NOT_FOUND")
    await refused(rooms.assign("alice", "admin"), "USER_NOT_FOUND")
    assert "alice" not in _all_rows(database)
