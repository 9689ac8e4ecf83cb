"""Rooms over the wire, with users beside them and a real database."""

import asyncio
import hashlib
import json

import grpc
import psycopg
import pytest
from chatkit.rooms.v1 import memberships_service_pb2 as memberships_pb2
from chatkit.rooms.v1 import room_pb2
from chatkit.rooms.v1 import rooms_service_pb2 as rooms_pb2
from google.protobuf import field_mask_pb2, json_format, struct_pb2

from tests.support.refusals import refused
from tests.support.suite import Suite
from tests.support.tokens import su, user

# What says nothing of the room; a slow machine may not get so many done at once in time.
_AGAIN = {grpc.StatusCode.ABORTED, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}


@pytest.fixture
async def rooms(suite: Suite) -> Suite:
    """Run the suite with three users, a public room and a private one."""
    await suite.make_users("alice", "bob", "carol")
    await suite.make_room("public", "alice")
    await suite.make_room("private", "alice", private=True)
    return suite


async def test_a_created_room_is_read_as_it_was_stored(rooms: Suite) -> None:
    data = struct_pb2.Struct()
    json_format.ParseDict({"tags": ["a", 1, None], "deep": {"x": 1.5}}, data)
    request = rooms_pb2.CreateRoomRequest(
        id="møøse 🫎", name="Zoo", visibility="VISIBILITY_PRIVATE", custom_data=data, user_ids=["bob", "alice"]
    )
    created = await rooms.rooms.CreateRoom(request, metadata=user("alice"))
    read = await rooms.rooms.GetRoom(rooms_pb2.GetRoomRequest(room_id="møøse 🫎"), metadata=user("bob"))
    assert read == rooms_pb2.GetRoomResponse(room=created.room, membership=created.membership)
    assert read.room.visibility == room_pb2.VISIBILITY_PRIVATE
    assert read.room.custom_data == data
    assert (read.room.creator_id, read.room.member_count) == ("alice", 2)
    assert list(read.membership.user_ids) == ["alice", "bob"]
    assert read.room.create_time.seconds > 0


async def test_a_room_without_an_id_needs_a_request_id_and_gets_an_id(rooms: Suite) -> None:
    request = rooms_pb2.CreateRoomRequest(name="x", visibility="VISIBILITY_PUBLIC")
    refusal = await refused(rooms.rooms.CreateRoom(request, metadata=user("alice")), "FIELD_REQUIRED")
    assert refusal.metadata["field"] == "request_id"
    request.request_id = "1"
    first = await rooms.rooms.CreateRoom(request, metadata=user("alice"))
    again = await rooms.rooms.CreateRoom(request, metadata=user("alice"))
    assert first.room.id
    assert again == first
    other = await rooms.rooms.CreateRoom(request, metadata=user("bob"))
    assert other.room.id != first.room.id
    request.name = "y"
    await refused(rooms.rooms.CreateRoom(request, metadata=user("alice")), "REQUEST_ID_REUSED")


async def test_a_creation_is_the_same_in_whatever_words(rooms: Suite) -> None:
    request = rooms_pb2.CreateRoomRequest(
        name="x", request_id="1", visibility="VISIBILITY_PUBLIC", user_ids=["carol", "bob"]
    )
    first = await rooms.rooms.CreateRoom(request, metadata=user("alice"))
    for user_ids in (["bob", "carol"], ["bob", "alice", "carol", "bob"]):
        request.user_ids[:] = user_ids
        request.creator_id = "alice"
        assert await rooms.rooms.CreateRoom(request, metadata=user("alice")) == first
    request.user_ids[:] = ["bob"]
    await refused(rooms.rooms.CreateRoom(request, metadata=user("alice")), "REQUEST_ID_REUSED")


async def test_a_creation_is_the_same_whatever_the_sign_of_its_zeros(rooms: Suite) -> None:
    request = rooms_pb2.CreateRoomRequest(name="x", request_id="1", visibility="VISIBILITY_PUBLIC")
    made = []
    for zero in (0.0, -0.0):
        request.custom_data.Clear()
        request.custom_data.update({"a": zero, "b": [{"c": zero}, None, "x", 1.5, True]})
        made.append(await rooms.rooms.CreateRoom(request, metadata=user("alice")))
    assert made[0] == made[1]
    request.custom_data["a"] = 1
    await refused(rooms.rooms.CreateRoom(request, metadata=user("alice")), "REQUEST_ID_REUSED")


async def test_a_creation_of_the_release_before_is_the_same_when_it_is_repeated(rooms: Suite) -> None:
    request = rooms_pb2.CreateRoomRequest(
        name="x", request_id="1", visibility="VISIBILITY_PUBLIC", user_ids=["carol", "bob"]
    )
    first = await rooms.rooms.CreateRoom(request, metadata=user("alice"))
    before = rooms_pb2.CreateRoomRequest(name="x", user_ids=["carol", "bob"], creator_id="alice")
    kept = hashlib.sha256(before.SerializeToString(deterministic=True)).digest()
    with psycopg.connect(rooms.database.superuser_dsn) as connection:
        connection.execute("UPDATE rooms.creations SET content_hash = %s", [kept])
    assert await rooms.rooms.CreateRoom(request, metadata=user("alice")) == first


async def test_the_same_request_at_once_makes_one_room(rooms: Suite) -> None:
    request = rooms_pb2.CreateRoomRequest(name="x", request_id="1", visibility="VISIBILITY_PUBLIC")
    made = await asyncio.gather(*(rooms.rooms.CreateRoom(request, metadata=user("alice")) for _ in range(8)))
    assert len({response.room.id for response in made}) == 1
    assert rooms.database.count("rooms.rooms") == 3


async def test_a_taken_id_is_refused_and_nothing_is_stored(rooms: Suite) -> None:
    request = rooms_pb2.CreateRoomRequest(
        id="public", name="x", user_ids=["bob"], request_id="1", visibility="VISIBILITY_PUBLIC"
    )
    refusal = await refused(rooms.rooms.CreateRoom(request, metadata=user("carol")), "ROOM_ALREADY_EXISTS")
    assert refusal.metadata == {"room_id": "public"}
    assert rooms.database.count("rooms.memberships") == 2
    assert rooms.database.count("rooms.creations") == 0


async def test_users_who_do_not_exist_are_all_named_and_nothing_is_stored(rooms: Suite) -> None:
    request = rooms_pb2.CreateRoomRequest(
        id="new", name="x", user_ids=["zoe", "bob", "yan"], visibility="VISIBILITY_PUBLIC"
    )
    refusal = await refused(rooms.rooms.CreateRoom(request, metadata=user("alice")), "USER_NOT_FOUND")
    assert json.loads(refusal.metadata["user_ids"]) == ["yan", "zoe"]
    added = memberships_pb2.AddMembersRequest(room_id="public", user_ids=["bob", "zoe"])
    await refused(rooms.memberships.AddMembers(added, metadata=user("alice")), "USER_NOT_FOUND")
    assert rooms.database.count("rooms.rooms") == 2
    assert rooms.database.count("rooms.memberships") == 2


async def test_an_outsider_reads_a_public_room_with_its_members_as_listed_and_no_private_one(rooms: Suite) -> None:
    read = await rooms.rooms.GetRoom(rooms_pb2.GetRoomRequest(room_id="public"), metadata=user("carol"))
    assert read.room.name == "public"
    assert list(read.membership.user_ids) == ["alice"]
    listed = await rooms.rooms.ListJoinableRooms(rooms_pb2.ListJoinableRoomsRequest(), metadata=user("carol"))
    assert (listed.rooms[0], listed.memberships[0]) == (read.room, read.membership)
    unknown = await refused(
        rooms.rooms.GetRoom(rooms_pb2.GetRoomRequest(room_id="nope"), metadata=user("carol")), "ROOM_ACCESS_DENIED"
    )
    private = await refused(
        rooms.rooms.GetRoom(rooms_pb2.GetRoomRequest(room_id="private"), metadata=user("carol")), "ROOM_ACCESS_DENIED"
    )
    assert unknown.message == private.message
    await refused(rooms.rooms.GetRoom(rooms_pb2.GetRoomRequest(room_id="nope"), metadata=su()), "ROOM_NOT_FOUND")
    full = await rooms.rooms.GetRoom(rooms_pb2.GetRoomRequest(room_id="private"), metadata=su())
    assert list(full.membership.user_ids) == ["alice"]


async def test_an_outsider_can_do_nothing_in_a_room(rooms: Suite) -> None:
    for room_id in ("public", "private", "nope"):
        listed = memberships_pb2.ListMembersRequest(room_id=room_id)
        added = memberships_pb2.AddMembersRequest(room_id=room_id, user_ids=["carol"])
        removed = memberships_pb2.RemoveMembersRequest(room_id=room_id, user_ids=["alice"])
        updated = rooms_pb2.UpdateRoomRequest(room_id=room_id, name="mine")
        for call, request in (
            (rooms.memberships.ListMembers, listed),
            (rooms.memberships.AddMembers, added),
            (rooms.memberships.RemoveMembers, removed),
            (rooms.rooms.UpdateRoom, updated),
        ):
            await refused(call(request, metadata=user("carol")), "ROOM_ACCESS_DENIED")
    assert rooms.database.count("rooms.memberships") == 2


async def test_joining_is_for_public_rooms_and_harmless_twice(rooms: Suite) -> None:
    request = memberships_pb2.JoinRoomRequest(room_id="public")
    joined = await rooms.memberships.JoinRoom(request, metadata=user("bob"))
    assert list(joined.membership.user_ids) == ["alice", "bob"]
    assert joined.room.member_count == 2
    assert await rooms.memberships.JoinRoom(request, metadata=user("bob")) == joined
    request.room_id = "private"
    await refused(rooms.memberships.JoinRoom(request, metadata=user("bob")), "ROOM_ACCESS_DENIED")
    assert list((await rooms.memberships.JoinRoom(request, metadata=user("alice"))).membership.user_ids) == ["alice"]
    request.user_id = "bob"
    await refused(rooms.memberships.JoinRoom(request, metadata=su()), "ROOM_NOT_PUBLIC")
    request.room_id = "nope"
    await refused(rooms.memberships.JoinRoom(request, metadata=su()), "ROOM_NOT_FOUND")
    request.room_id = "public"
    await refused(rooms.memberships.JoinRoom(request, metadata=user("carol")), "SUBJECT_MISMATCH")
    request.user_id = "nobody"
    await refused(rooms.memberships.JoinRoom(request, metadata=su()), "USER_NOT_FOUND")


async def test_leaving_always_answers_alike(rooms: Suite) -> None:
    for room_id in ("public", "public", "private", "nope"):
        request = memberships_pb2.LeaveRoomRequest(room_id=room_id)
        assert await rooms.memberships.LeaveRoom(request, metadata=user("carol")) == memberships_pb2.LeaveRoomResponse()
    left = memberships_pb2.LeaveRoomRequest(room_id="public")
    await rooms.memberships.LeaveRoom(left, metadata=user("alice"))
    empty = await rooms.rooms.GetRoom(rooms_pb2.GetRoomRequest(room_id="public"), metadata=su())
    assert (empty.room.member_count, list(empty.membership.user_ids)) == (0, [])
    await refused(
        rooms.memberships.ListMembers(memberships_pb2.ListMembersRequest(room_id="public"), metadata=user("alice")),
        "ROOM_ACCESS_DENIED",
    )


async def test_the_hundred_and_first_member_is_refused_also_when_all_come_at_once(suite: Suite) -> None:
    names = [f"u{number:03}" for number in range(110)]
    await suite.make_users("alice", *names)
    await suite.make_room("lobby", "alice")

    async def add(name: str) -> str:
        request = memberships_pb2.AddMembersRequest(room_id="lobby", user_ids=[name])
        while True:
            try:
                await suite.memberships.AddMembers(request, metadata=su())
            except grpc.aio.AioRpcError as error:
                if error.code() in _AGAIN:
                    continue
                return error.code().name
            return "OK"

    answers = await asyncio.gather(*(add(name) for name in names))
    assert answers.count("OK") == 99
    assert answers.count("RESOURCE_EXHAUSTED") == 11
    assert suite.database.count("rooms.memberships") == 100
    read = await suite.rooms.GetRoom(rooms_pb2.GetRoomRequest(room_id="lobby"), metadata=su())
    assert read.room.member_count == 100
    present = next(name for name, answer in zip(names, answers, strict=True) if answer == "OK")
    again = memberships_pb2.AddMembersRequest(room_id="lobby", user_ids=[present])
    await suite.memberships.AddMembers(again, metadata=user("alice"))
    absent = next(name for name, answer in zip(names, answers, strict=True) if answer != "OK")
    refusal = await refused(
        suite.memberships.JoinRoom(memberships_pb2.JoinRoomRequest(room_id="lobby"), metadata=user(absent)),
        "QUOTA_EXCEEDED",
    )
    assert refusal.metadata == {"limit": "ROOM_MEMBERS", "maximum": "100", "actual": "101"}
    assert refusal.quota


async def test_members_are_listed_by_page_in_the_order_of_code_points(suite: Suite) -> None:
    names = ["Zoe", "alice", "bob", "émile", "🫎"]
    await suite.make_users(*names)
    await suite.make_room("lobby", "alice", *names)
    request = memberships_pb2.ListMembersRequest(room_id="lobby", page_size=2)
    seen: list[str] = []
    while True:
        page = await suite.memberships.ListMembers(request, metadata=user("bob"))
        seen.extend(page.user_ids)
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert seen == names
    request.room_id = "other"
    await suite.make_room("other", "alice", "bob")
    await refused(suite.memberships.ListMembers(request, metadata=user("bob")), "PAGE_TOKEN_INVALID")


async def test_rooms_of_a_user_are_listed_by_page_with_their_members(rooms: Suite) -> None:
    await rooms.make_room("third", "bob", "alice")
    request = rooms_pb2.ListUserRoomsRequest(page_size=2)
    first = await rooms.rooms.ListUserRooms(request, metadata=user("alice"))
    assert [room.id for room in first.rooms] == ["private", "public"]
    assert [list(m.user_ids) for m in first.memberships] == [["alice"], ["alice"]]
    request.page_token = first.next_page_token
    second = await rooms.rooms.ListUserRooms(request, metadata=user("alice"))
    assert [(room.id, m.user_ids) for room, m in zip(second.rooms, second.memberships, strict=True)] == [
        ("third", ["alice", "bob"])
    ]
    assert not second.next_page_token
    await refused(rooms.rooms.ListUserRooms(request, metadata=user("bob")), "PAGE_TOKEN_INVALID")
    named = rooms_pb2.ListUserRoomsRequest(user_id="alice")
    await refused(rooms.rooms.ListUserRooms(named, metadata=user("bob")), "SUBJECT_MISMATCH")
    assert len((await rooms.rooms.ListUserRooms(named, metadata=su())).rooms) == 3
    named.user_id = "nobody"
    await refused(rooms.rooms.ListUserRooms(named, metadata=su()), "USER_NOT_FOUND")


async def test_an_update_changes_what_the_mask_names_and_loses_no_race(rooms: Suite) -> None:
    await rooms.assign("alice", "admin")
    read = await rooms.rooms.GetRoom(rooms_pb2.GetRoomRequest(room_id="public"), metadata=user("alice"))
    request = rooms_pb2.UpdateRoomRequest(room_id="public", name="New", etag=read.room.etag)
    first = await rooms.rooms.UpdateRoom(request, metadata=user("alice"))
    assert (first.room.name, first.room.visibility) == ("New", room_pb2.VISIBILITY_PUBLIC)
    assert first.room.etag != read.room.etag
    await refused(rooms.rooms.UpdateRoom(request, metadata=user("alice")), "ETAG_MISMATCH")
    cleared = rooms_pb2.UpdateRoomRequest(room_id="public", update_mask=field_mask_pb2.FieldMask(paths=["name"]))
    await refused(rooms.rooms.UpdateRoom(cleared, metadata=user("alice")), "FIELD_REQUIRED")
    wrong = rooms_pb2.UpdateRoomRequest(room_id="public", update_mask=field_mask_pb2.FieldMask(paths=["creator_id"]))
    await refused(rooms.rooms.UpdateRoom(wrong, metadata=user("alice")), "FIELD_INVALID")
    unchanged = await rooms.rooms.UpdateRoom(rooms_pb2.UpdateRoomRequest(room_id="public"), metadata=user("alice"))
    assert unchanged.room == first.room


async def test_without_a_mask_an_update_changes_what_is_set_also_to_something_empty(rooms: Suite) -> None:
    await rooms.assign("alice", "admin")
    data = json_format.ParseDict({"old": 1}, struct_pb2.Struct())
    full = rooms_pb2.UpdateRoomRequest(
        room_id="public", custom_data=data, push_notification_title_override="Title", retention_days=30
    )
    before = (await rooms.rooms.UpdateRoom(full, metadata=user("alice"))).room
    empty = rooms_pb2.UpdateRoomRequest(
        room_id="public", name="", custom_data=struct_pb2.Struct(), push_notification_title_override=""
    )
    await rooms.rooms.UpdateRoom(empty, metadata=user("alice"))
    read = (await rooms.rooms.GetRoom(rooms_pb2.GetRoomRequest(room_id="public"), metadata=user("alice"))).room
    assert (read.name, read.visibility, read.retention_days) == (before.name, before.visibility, 30)
    # Both are there, which is not the same as having none.
    assert (read.HasField("custom_data"), dict(read.custom_data)) == (True, {})
    assert (read.HasField("push_notification_title_override"), read.push_notification_title_override) == (True, "")
    zero = rooms_pb2.UpdateRoomRequest(room_id="public", retention_days=0)
    await refused(rooms.rooms.UpdateRoom(zero, metadata=user("alice")), "BELOW_MINIMUM")


async def test_an_update_that_changes_nothing_moves_nothing(rooms: Suite) -> None:
    await rooms.assign("alice", "admin")
    full = rooms_pb2.UpdateRoomRequest(
        room_id="public",
        name="Name",
        visibility=room_pb2.VISIBILITY_PRIVATE,
        custom_data=json_format.ParseDict({"a": [1, 0.5, 1e300, True, None]}, struct_pb2.Struct()),
        push_notification_title_override="",
        retention_days=30,
    )
    before = (await rooms.rooms.UpdateRoom(full, metadata=user("alice"))).room
    recorded = rooms.database.changes("rooms")
    assert (await rooms.rooms.UpdateRoom(full, metadata=user("alice"))).room == before
    named = rooms_pb2.UpdateRoomRequest(room_id="public", name="Name", etag=before.etag)
    assert (await rooms.rooms.UpdateRoom(named, metadata=user("alice"))).room == before
    read = rooms_pb2.GetRoomRequest(room_id="public")
    assert (await rooms.rooms.GetRoom(read, metadata=user("alice"))).room == before
    assert rooms.database.changes("rooms") == recorded
    # One field of several that is another one, and no title is not an empty one.
    full.ClearField("push_notification_title_override")
    full.update_mask.paths[:] = ["name", "push_notification_title_override"]
    after = (await rooms.rooms.UpdateRoom(full, metadata=user("alice"))).room
    assert (after.etag != before.etag, after.HasField("push_notification_title_override")) == (True, False)
    assert rooms.database.changes("rooms") == recorded + 1


async def test_a_call_that_needs_no_users_goes_on_without_them(rooms: Suite) -> None:
    await rooms.stop("users")
    added = memberships_pb2.AddMembersRequest(room_id="public", user_ids=["bob"])
    refusal = await refused(rooms.memberships.AddMembers(added, metadata=user("alice")), "SERVICE_UNAVAILABLE")
    assert refusal.metadata == {"service": "users"}
    assert refusal.retry_after is not None
    await rooms.rooms.GetRoom(rooms_pb2.GetRoomRequest(room_id="public"), metadata=user("alice"))
    assert rooms.database.count("rooms.memberships") == 2
