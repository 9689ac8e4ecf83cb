"""The listings of rooms, over the wire: all of the instance, and those that a user may join."""

import random
from collections.abc import Awaitable, Callable
from itertools import chain
from typing import Any

import pytest
from chatkit.rooms.v1 import memberships_service_pb2 as memberships_pb2
from chatkit.rooms.v1 import rooms_service_pb2 as rooms_pb2
from google.protobuf import struct_pb2

from tests.support.refusals import refused
from tests.support.suite import Suite
from tests.support.tokens import Metadata, su, user

# By code points, which is neither the alphabet's order nor that of UTF-16.
_PUBLIC = ["Zoo", "a b", "attic", "lobby", "\uffee", "🫎"]
_PRIVATE = ["Safe", "b", "ä"]


@pytest.fixture
async def rooms(suite: Suite) -> Suite:
    """Run the suite with public and private rooms of alice, made in no order."""
    await suite.make_users("alice", "bob")
    made = [(name, False) for name in _PUBLIC] + [(name, True) for name in _PRIVATE]
    random.Random(4).shuffle(made)
    for name, private in made:
        await suite.make_room(name, "alice", private=private)
    return suite


async def _pages(call: Callable[..., Awaitable[Any]], request: Any, metadata: Metadata) -> list[list[str]]:
    pages = []
    while True:
        response = await call(request, metadata=metadata)
        pages.append([room.id for room in response.rooms])
        if not response.next_page_token:
            return pages
        request.page_token = response.next_page_token


async def test_rooms_are_listed_by_page_in_the_order_of_code_points(rooms: Suite) -> None:
    request = rooms_pb2.ListRoomsRequest(page_size=4)
    assert await _pages(rooms.rooms.ListRooms, request, su()) == [_PUBLIC[:4], _PUBLIC[4:]]
    everything = rooms_pb2.ListRoomsRequest(page_size=4, include_private=True)
    pages = await _pages(rooms.rooms.ListRooms, everything, su())
    assert list(chain(*pages)) == sorted(_PUBLIC + _PRIVATE)
    assert [len(page) for page in pages] == [4, 4, 1]


async def test_rooms_are_listed_after_an_id_that_need_not_exist(rooms: Suite) -> None:
    for after in ("a", "a b", "attic", "b", "🫎", "\U0010ffff"):
        request = rooms_pb2.ListRoomsRequest(after_room_id=after, page_size=1)
        expected = [[name] for name in _PUBLIC if name > after] or [[]]
        assert await _pages(rooms.rooms.ListRooms, request, su()) == expected


async def test_a_listing_goes_on_after_rooms_were_made_and_made_private_meanwhile(rooms: Suite) -> None:
    request = rooms_pb2.ListRoomsRequest(page_size=2)
    first = await rooms.rooms.ListRooms(request, metadata=su())
    assert [room.id for room in first.rooms] == _PUBLIC[:2]
    await rooms.make_room("A", "alice")
    await rooms.make_room("attic 2", "alice")
    hidden = rooms_pb2.UpdateRoomRequest(room_id="lobby", visibility="VISIBILITY_PRIVATE")
    await rooms.rooms.UpdateRoom(hidden, metadata=su())
    request.page_token = first.next_page_token
    second = await rooms.rooms.ListRooms(request, metadata=su())
    assert [room.id for room in second.rooms] == ["attic", "attic 2"]


async def test_a_page_token_is_of_its_filter(rooms: Suite) -> None:
    request = rooms_pb2.ListRoomsRequest(page_size=1)
    request.page_token = (await rooms.rooms.ListRooms(request, metadata=su())).next_page_token
    for change in ({"include_private": True}, {"after_room_id": "a"}):
        other = rooms_pb2.ListRoomsRequest(page_token=request.page_token, **change)
        await refused(rooms.rooms.ListRooms(other, metadata=su()), "PAGE_TOKEN_INVALID")
    joinable = rooms_pb2.ListJoinableRoomsRequest(page_token=request.page_token)
    await refused(rooms.rooms.ListJoinableRooms(joinable, metadata=user("bob")), "PAGE_TOKEN_INVALID")


async def test_a_page_goes_on_whether_its_reader_is_named_or_not(rooms: Suite) -> None:
    for call, request_of, who in (
        (rooms.rooms.ListJoinableRooms, rooms_pb2.ListJoinableRoomsRequest, "bob"),
        (rooms.rooms.ListUserRooms, rooms_pb2.ListUserRoomsRequest, "alice"),
    ):
        for first, second in (("", who), (who, "")):
            begun = await call(request_of(page_size=2, user_id=first), metadata=user(who))
            request = request_of(page_size=2, user_id=second, page_token=begun.next_page_token)
            assert len((await call(request, metadata=user(who))).rooms) == 2
        begun = await call(request_of(page_size=2), metadata=su(who))
        other = request_of(page_size=2, user_id="nobody", page_token=begun.next_page_token)
        await refused(call(other, metadata=su(who)), "PAGE_TOKEN_INVALID")


async def test_listing_the_rooms_of_the_instance_needs_su(rooms: Suite) -> None:
    await rooms.assign("bob", "admin")
    request = rooms_pb2.ListRoomsRequest()
    await refused(rooms.rooms.ListRooms(request, metadata=user("bob")), "SUPERUSER_REQUIRED")


async def test_joinable_rooms_are_the_public_ones_that_the_user_is_not_in_with_their_members(rooms: Suite) -> None:
    request = rooms_pb2.ListJoinableRoomsRequest(page_size=4)
    assert await _pages(rooms.rooms.ListJoinableRooms, request, user("bob")) == [_PUBLIC[:4], _PUBLIC[4:]]
    assert await _pages(rooms.rooms.ListJoinableRooms, rooms_pb2.ListJoinableRoomsRequest(), user("alice")) == [[]]
    for room_id in ("Zoo", "lobby", "🫎"):
        joined = memberships_pb2.JoinRoomRequest(room_id=room_id)
        await rooms.memberships.JoinRoom(joined, metadata=user("bob"))
    added = memberships_pb2.AddMembersRequest(room_id="Safe", user_ids=["bob"])
    await rooms.memberships.AddMembers(added, metadata=user("alice"))
    page = await rooms.rooms.ListJoinableRooms(rooms_pb2.ListJoinableRoomsRequest(), metadata=user("bob"))
    assert [(room.id, room.member_count) for room in page.rooms] == [("a b", 1), ("attic", 1), ("\uffee", 1)]
    assert [(one.room_id, list(one.user_ids)) for one in page.memberships] == [
        (room.id, ["alice"]) for room in page.rooms
    ]
    left = memberships_pb2.LeaveRoomRequest(room_id="Zoo")
    await rooms.memberships.LeaveRoom(left, metadata=user("bob"))
    request = rooms_pb2.ListJoinableRoomsRequest(page_size=1)
    pages = await _pages(rooms.rooms.ListJoinableRooms, request, user("bob"))
    assert pages == [["Zoo"], ["a b"], ["attic"], ["\uffee"]]


async def test_joinable_rooms_are_asked_for_by_oneself_or_by_superusers_for_users_who_exist(rooms: Suite) -> None:
    request = rooms_pb2.ListJoinableRoomsRequest(user_id="bob")
    await refused(rooms.rooms.ListJoinableRooms(request, metadata=user("alice")), "SUBJECT_MISMATCH")
    assert await _pages(rooms.rooms.ListJoinableRooms, request, su()) == [_PUBLIC]
    nobody = rooms_pb2.ListJoinableRoomsRequest(user_id="nobody")
    await refused(rooms.rooms.ListJoinableRooms(nobody, metadata=su()), "USER_NOT_FOUND")
    await refused(
        rooms.rooms.ListJoinableRooms(rooms_pb2.ListJoinableRoomsRequest(), metadata=su()), "SUBJECT_REQUIRED"
    )
    await rooms.stop("users")
    oneself = rooms_pb2.ListJoinableRoomsRequest(user_id="bob")
    assert await _pages(rooms.rooms.ListJoinableRooms, oneself, user("bob")) == [_PUBLIC]


async def test_a_page_of_large_rooms_ends_early_and_nothing_is_left_out(rooms: Suite) -> None:
    data = struct_pb2.Struct()
    # Two bytes of JSON each, and eleven of protobuf.
    data["k"] = [1] * 2_500
    ids = [f"large {number:02}" for number in range(60)]
    for room_id in ids:
        request = rooms_pb2.CreateRoomRequest(id=room_id, name="x", custom_data=data, visibility="VISIBILITY_PUBLIC")
        await rooms.rooms.CreateRoom(request, metadata=user("alice"))
    listed = rooms_pb2.ListRoomsRequest(page_size=100, after_room_id="large")
    pages = await _pages(rooms.rooms.ListRooms, listed, su())
    assert [len(page) < 60 for page in pages] == [True, True]
    assert list(chain(*pages))[:60] == ids
