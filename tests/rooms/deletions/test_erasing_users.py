"""Erasing what rooms has of a user: memberships, roles and names go, others are told, and nothing comes again."""

from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import psycopg
import pytest
from chatkit.internal.erasure.v1 import erasure_service_pb2 as pb2
from chatkit.internal.erasure.v1.erasure_service_pb2_grpc import ErasureServiceStub
from chatkit.messages.v1 import messages_service_pb2 as messages_pb2
from chatkit.rooms.v1 import memberships_service_pb2 as memberships_pb2
from chatkit.rooms.v1 import rooms_service_pb2 as rooms_pb2
from chatkit.users.v1 import presence_service_pb2 as presence_pb2
from chatkit.users.v1 import users_service_pb2 as users_pb2

from services.rooms.deletions.users_store import UserErasureStore
from services.runtime.contract.errors import from_rpc_error
from tests.rooms.user_streams.reading import reading, reason
from tests.support.databases import TestDatabase
from tests.support.refusals import refused
from tests.support.suite import Suite
from tests.support.tokens import Metadata, bearer, service, su, token, user


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


async def _erased(rooms: Suite, database: TestDatabase) -> bool:
    """Ask until all is erased, which takes a slow machine more than one call."""
    while not await _erase(rooms, database):
        pass
    return True


async def test_nothing_names_the_user_any_more_and_others_are_told(rooms: Suite, database: TestDatabase) -> None:
    await rooms.make_room("gone", "alice", "bob")
    await rooms.rooms.DeleteRoom(rooms_pb2.DeleteRoomRequest(room_id="gone"), metadata=su())
    assert database.count("rooms.deleted_memberships") == 2
    assert "alice" in _all_rows(database)
    async with reading(rooms, "bob") as reader:
        await reader.until("caught_up")
        assert await _erased(rooms, database)
        told = [(await reader.until("member_left"))[-2:] for _ in range(3)]
    assert {pair[0].user_deleted.user_id for pair in told} == {"alice"}
    left = [pair[1] for pair in told]
    assert {event.member_left.user_id for event in left} == {"alice"}
    assert len({event.member_left.room_id for event in left}) == 3
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
    assert await _erased(rooms, database)
    assert database.count("rooms.deleted_memberships") == 1


async def test_their_tokens_open_nothing_and_their_streams_end(rooms: Suite, database: TestDatabase) -> None:
    get, before = rooms_pb2.ListJoinableRoomsRequest(), user("alice")
    await rooms.rooms.ListJoinableRooms(get, metadata=before)
    online = presence_pb2.SubscribePresenceRequest(online=True)
    followed = messages_pb2.SubscribeRoomRequest(room_id="lobby")
    streams = [
        aiter(rooms.presence.SubscribePresence(online, metadata=before)),
        aiter(rooms.messages.SubscribeRoom(followed, metadata=before)),
    ]
    for stream in streams:
        await anext(stream)
    async with reading(rooms, "alice", metadata=before) as reader:
        await reader.until("caught_up")
        assert await _erased(rooms, database)
        assert reason((await reader.until("closed"))[-1].closed) == "USER_DELETED"
    await refused(_to_the_end(streams[0]), "USER_DELETED")
    # Depending on which of two changes is acted on first.
    with pytest.raises(grpc.aio.AioRpcError) as ending:
        await _to_the_end(streams[1])
    assert from_rpc_error(ending.value, "messages").reason in {"USER_DELETED", "REMOVED_FROM_ROOM"}
    await refused(rooms.rooms.ListJoinableRooms(get, metadata=before), "USER_DELETED")
    await refused(rooms.users.GetUser(users_pb2.GetUserRequest(user_id="bob"), metadata=before), "USER_DELETED")
    # A token that is signed later is somebody else's.
    await rooms.rooms.ListJoinableRooms(get, metadata=_of_later())


def _of_later() -> Metadata:
    return bearer(token("alice", now=datetime.now(UTC) + timedelta(seconds=5)))


async def _to_the_end(stream: Any) -> None:
    async for _ in stream:
        pass


async def test_nothing_of_theirs_comes_into_being_any_more(rooms: Suite, database: TestDatabase) -> None:
    assert await _erased(rooms, database)
    # Users, as it is here, still says that they exist.
    created = rooms_pb2.CreateRoomRequest(id="new", name="new", visibility="VISIBILITY_PUBLIC")
    await refused(rooms.rooms.CreateRoom(created, metadata=_of_later()), "USER_NOT_FOUND")
    added = memberships_pb2.AddMembersRequest(room_id="attic", user_ids=["alice"])
    await refused(rooms.memberships.AddMembers(added, metadata=su()), "USER_NOT_FOUND")
    await refused(
        rooms.memberships.JoinRoom(memberships_pb2.JoinRoomRequest(room_id="attic"), metadata=_of_later()),
        "USER_NOT_FOUND",
    )
    direct = rooms_pb2.GetOrCreateDirectRoomRequest(other_user_id="alice")
    await refused(rooms.rooms.GetOrCreateDirectRoom(direct, metadata=user("bob")), "USER_NOT_FOUND")
    await refused(rooms.assign("alice", "admin"), "USER_NOT_FOUND")
    assert "alice" not in _all_rows(database)


async def test_what_tokens_called_them_is_forgotten_after_a_month(rooms: Suite, database: TestDatabase) -> None:
    get, before = rooms_pb2.ListJoinableRoomsRequest(), user("alice")
    assert await _erased(rooms, database)
    store = UserErasureStore(rooms.servers["rooms"].database)
    await store.forget_tokens()
    await refused(rooms.rooms.ListJoinableRooms(get, metadata=before), "USER_DELETED")
    with psycopg.connect(database.superuser_dsn) as connection:
        connection.execute("UPDATE rooms.fences SET fence_time = fence_time - interval '31 days'")
    await store.forget_tokens()
    with psycopg.connect(database.superuser_dsn) as connection:
        assert connection.execute("SELECT count(user_hash), count(uid) FROM rooms.fences").fetchone() == (0, 1)
