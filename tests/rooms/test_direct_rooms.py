"""The one direct room of two users, over the wire."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import psycopg
import pytest
from chatkit.rooms.v1 import memberships_service_pb2 as memberships_pb2
from chatkit.rooms.v1 import room_pb2
from chatkit.rooms.v1 import rooms_service_pb2 as rooms_pb2

from tests.support.refusals import refused
from tests.support.suite import Suite
from tests.support.tokens import su, user


@pytest.fixture
async def rooms(suite: Suite) -> Suite:
    """Run the suite with three users and no room."""
    await suite.make_users("alice", "bob", "carol")
    return suite


async def _direct(suite: Suite, who: str, other: str) -> rooms_pb2.GetOrCreateDirectRoomResponse:
    request = rooms_pb2.GetOrCreateDirectRoomRequest(other_user_id=other)
    response: rooms_pb2.GetOrCreateDirectRoomResponse = await suite.rooms.GetOrCreateDirectRoom(
        request, metadata=user(who)
    )
    return response


async def _members(suite: Suite, room_id: str) -> tuple[int, list[str]]:
    read = await suite.rooms.GetRoom(rooms_pb2.GetRoomRequest(room_id=room_id), metadata=su())
    return read.room.member_count, list(read.membership.user_ids)


async def test_whoever_of_two_asks_gets_the_same_private_room_with_both_in_it(rooms: Suite) -> None:
    made = await _direct(rooms, "bob", "alice")
    assert (made.room.name, made.room.visibility, made.room.creator_id) == ("", room_pb2.VISIBILITY_PRIVATE, "bob")
    assert list(made.room.direct_user_ids) == list(made.membership.user_ids) == ["alice", "bob"]
    assert made.room.member_count == 2
    assert await _direct(rooms, "alice", "bob") == made
    for_another = rooms_pb2.GetOrCreateDirectRoomRequest(user_id="alice", other_user_id="bob")
    assert await rooms.rooms.GetOrCreateDirectRoom(for_another, metadata=su()) == made
    assert (await rooms.rooms.ListUserRooms(rooms_pb2.ListUserRoomsRequest(), metadata=user("alice"))).rooms[
        0
    ] == made.room
    others = {(await _direct(rooms, "alice", "carol")).room.id, (await _direct(rooms, "carol", "bob")).room.id}
    assert len(others | {made.room.id}) == 3
    assert rooms.database.count("rooms.rooms") == 3


async def test_other_rooms_of_two_users_are_no_direct_rooms(rooms: Suite) -> None:
    await rooms.make_room("ours", "alice", "bob", private=True)
    read = await rooms.rooms.GetRoom(rooms_pb2.GetRoomRequest(room_id="ours"), metadata=user("alice"))
    assert not read.room.direct_user_ids
    assert (await _direct(rooms, "alice", "bob")).room.id != "ours"


async def test_both_who_ask_at_once_get_one_room(rooms: Suite) -> None:
    asked = [("alice", "bob"), ("bob", "alice")] * 8
    made = await asyncio.gather(*(_direct(rooms, who, other) for who, other in asked))
    assert len({response.room.id for response in made}) == 1
    assert {tuple(response.membership.user_ids) for response in made} == {("alice", "bob")}
    assert (rooms.database.count("rooms.rooms"), rooms.database.count("rooms.memberships")) == (1, 2)
    assert rooms.database.changes("rooms") == 2


async def test_who_has_no_direct_room_with_somebody(rooms: Suite) -> None:
    oneself = rooms_pb2.GetOrCreateDirectRoomRequest(other_user_id="alice")
    refusal = await refused(rooms.rooms.GetOrCreateDirectRoom(oneself, metadata=user("alice")), "FIELD_INVALID")
    assert refusal.metadata == {"field": "other_user_id"}
    assert [violation.field for violation in refusal.violations] == ["other_user_id"]
    nobody = rooms_pb2.GetOrCreateDirectRoomRequest(other_user_id="nobody")
    refusal = await refused(rooms.rooms.GetOrCreateDirectRoom(nobody, metadata=user("alice")), "USER_NOT_FOUND")
    assert refusal.metadata == {"user_ids": '["nobody"]'}
    another = rooms_pb2.GetOrCreateDirectRoomRequest(user_id="bob", other_user_id="carol")
    await refused(rooms.rooms.GetOrCreateDirectRoom(another, metadata=user("alice")), "SUBJECT_MISMATCH")
    nameless = rooms_pb2.GetOrCreateDirectRoomRequest(user_id="alice")
    await refused(rooms.rooms.GetOrCreateDirectRoom(nameless, metadata=user("alice")), "FIELD_REQUIRED")
    assert rooms.database.count("rooms.rooms") == 0


async def test_nobody_becomes_a_third_member_whoever_asks(rooms: Suite) -> None:
    room_id = (await _direct(rooms, "alice", "bob")).room.id
    for user_ids in (["carol"], ["alice", "carol"]):
        added = memberships_pb2.AddMembersRequest(room_id=room_id, user_ids=user_ids)
        for metadata in (user("alice"), su()):
            refusal = await refused(rooms.memberships.AddMembers(added, metadata=metadata), "DIRECT_ROOM")
            assert (refusal.code, refusal.metadata) == (grpc.StatusCode.FAILED_PRECONDITION, {"room_id": room_id})
    joined = memberships_pb2.JoinRoomRequest(room_id=room_id)
    await refused(rooms.memberships.JoinRoom(joined, metadata=user("carol")), "ROOM_ACCESS_DENIED")
    joined.user_id = "carol"
    refusal = await refused(rooms.memberships.JoinRoom(joined, metadata=su()), "DIRECT_ROOM")
    assert refusal.metadata == {"room_id": room_id}
    created = rooms_pb2.CreateRoomRequest(id=room_id, name="x", user_ids=["bob"], visibility="VISIBILITY_PUBLIC")
    await refused(rooms.rooms.CreateRoom(created, metadata=user("carol")), "ROOM_ALREADY_EXISTS")
    assert await _members(rooms, room_id) == (2, ["alice", "bob"])


async def test_nobody_takes_the_place_of_one_who_left(rooms: Suite) -> None:
    room_id = (await _direct(rooms, "alice", "bob")).room.id
    await rooms.memberships.LeaveRoom(memberships_pb2.LeaveRoomRequest(room_id=room_id), metadata=user("bob"))
    added = memberships_pb2.AddMembersRequest(room_id=room_id, user_ids=["carol"])
    await refused(rooms.memberships.AddMembers(added, metadata=user("alice")), "DIRECT_ROOM")
    await refused(
        rooms.memberships.JoinRoom(memberships_pb2.JoinRoomRequest(room_id=room_id), metadata=user("bob")),
        "ROOM_ACCESS_DENIED",
    )
    assert await _members(rooms, room_id) == (1, ["alice"])
    added.user_ids[:] = ["bob", "alice"]
    await rooms.memberships.AddMembers(added, metadata=user("alice"))
    assert await _members(rooms, room_id) == (2, ["alice", "bob"])


@pytest.mark.parametrize("who", ["alice", "bob"])
async def test_after_the_call_both_are_members_again_whoever_left(rooms: Suite, who: str) -> None:
    made = await _direct(rooms, "alice", "bob")
    left = memberships_pb2.LeaveRoomRequest(room_id=made.room.id)
    await rooms.memberships.LeaveRoom(left, metadata=user("bob"))
    other = "alice" if who == "bob" else "bob"
    assert await _direct(rooms, who, other) == made
    removed = memberships_pb2.RemoveMembersRequest(room_id=made.room.id, user_ids=["alice", "bob"])
    await rooms.memberships.RemoveMembers(removed, metadata=user("alice"))
    assert await _members(rooms, made.room.id) == (0, [])
    assert await _direct(rooms, who, other) == made
    assert await _members(rooms, made.room.id) == (2, ["alice", "bob"])


async def test_a_direct_room_can_be_named_and_stays_private(rooms: Suite) -> None:
    made = await _direct(rooms, "alice", "bob")
    request = rooms_pb2.UpdateRoomRequest(room_id=made.room.id, name="Us", visibility="VISIBILITY_PUBLIC")
    refusal = await refused(rooms.rooms.UpdateRoom(request, metadata=su()), "DIRECT_ROOM")
    assert refusal.metadata == {"room_id": made.room.id}
    assert await _direct(rooms, "alice", "bob") == made
    request.visibility = room_pb2.VISIBILITY_PRIVATE
    await rooms.rooms.UpdateRoom(request, metadata=su())
    assert (await _direct(rooms, "bob", "alice")).room.name == "Us"


async def test_whatever_happens_at_once_there_is_no_third_member(rooms: Suite) -> None:
    room_id = (await _direct(rooms, "alice", "bob")).room.id

    async def add(who: str) -> None:
        request = memberships_pb2.AddMembersRequest(room_id=room_id, user_ids=[who])
        await rooms.memberships.AddMembers(request, metadata=su())

    async def leave() -> None:
        request = memberships_pb2.LeaveRoomRequest(room_id=room_id)
        await rooms.memberships.LeaveRoom(request, metadata=user("bob"))

    calls: list[Callable[[], Awaitable[Any]]] = [
        lambda: add("carol"),
        lambda: add("bob"),
        leave,
        lambda: _direct(rooms, "bob", "alice"),
        lambda: _direct(rooms, "alice", "bob"),
    ]

    async def told(call: Callable[[], Awaitable[Any]]) -> str:
        try:
            await call()
        except grpc.aio.AioRpcError as error:
            return error.code().name
        return "OK"

    answers = await asyncio.gather(*(told(call) for _ in range(8) for call in calls))
    assert set(answers[0 :: len(calls)]) <= {"FAILED_PRECONDITION", "ABORTED"}
    assert set(answers[1:]) <= {"OK", "FAILED_PRECONDITION", "ABORTED", "UNAVAILABLE"}
    count, members = await _members(rooms, room_id)
    assert (count, set(members) - {"alice", "bob"}) == (len(members), set())
    final = await _direct(rooms, "alice", "bob")
    assert (final.room.id, final.room.member_count) == (room_id, 2)


async def test_a_release_that_does_not_know_direct_rooms_adds_no_third_to_the_two(rooms: Suite) -> None:
    room_id = (await _direct(rooms, "alice", "bob")).room.id
    with (
        psycopg.connect(rooms.database.dsn("rooms")) as connection,
        pytest.raises(psycopg.errors.CheckViolation),
    ):
        connection.execute("UPDATE rooms.rooms SET member_count = 3 WHERE id = %s", [room_id])
