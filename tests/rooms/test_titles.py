"""The title of push notifications: untouched, set, empty and cleared, over the wire."""

import pytest
from chatkit.rooms.v1 import rooms_service_pb2 as rooms_pb2
from google.protobuf import field_mask_pb2

from tests.support.refusals import refused
from tests.support.suite import Suite
from tests.support.tokens import su, user

_FIELD = "push_notification_title_override"
_MASKED = field_mask_pb2.FieldMask(paths=[_FIELD])


@pytest.fixture
async def titled(suite: Suite) -> Suite:
    """Run the suite with a room that has a title."""
    await suite.make_users("alice")
    request = rooms_pb2.CreateRoomRequest(
        id="r", name="R", push_notification_title_override="Ring\n🫎", visibility="VISIBILITY_PUBLIC"
    )
    created = await suite.rooms.CreateRoom(request, metadata=user("alice"))
    assert created.room.push_notification_title_override == "Ring\n🫎"
    return suite


async def _title(suite: Suite, room_id: str = "r") -> str | None:
    """Return what every way to read the room says; None is unset."""
    read = (await suite.rooms.GetRoom(rooms_pb2.GetRoomRequest(room_id=room_id), metadata=user("alice"))).room
    listed = (await suite.rooms.ListUserRooms(rooms_pb2.ListUserRoomsRequest(), metadata=user("alice"))).rooms
    assert read in listed
    return read.push_notification_title_override if read.HasField(_FIELD) else None


async def _update(suite: Suite, **changes: object) -> None:
    request = rooms_pb2.UpdateRoomRequest(room_id="r", **changes)  # type: ignore[arg-type]
    await suite.rooms.UpdateRoom(request, metadata=su())


async def test_a_room_made_without_a_title_has_none_and_one_made_with_an_empty_title_has_that(titled: Suite) -> None:
    await titled.make_room("bare", "alice")
    empty = rooms_pb2.CreateRoomRequest(
        id="empty", name="E", push_notification_title_override="", visibility="VISIBILITY_PUBLIC"
    )
    await titled.rooms.CreateRoom(empty, metadata=user("alice"))
    assert [await _title(titled, room_id) for room_id in ("bare", "empty")] == [None, ""]


async def test_an_update_that_does_not_name_the_title_leaves_it(titled: Suite) -> None:
    await _update(titled, name="S")
    await _update(titled, name="T", update_mask=field_mask_pb2.FieldMask(paths=["name"]))
    assert await _title(titled) == "Ring\n🫎"


async def test_a_title_that_is_set_is_stored_with_and_without_a_mask_also_an_empty_one(titled: Suite) -> None:
    await _update(titled, push_notification_title_override="a")
    assert await _title(titled) == "a"
    await _update(titled, push_notification_title_override="b", update_mask=_MASKED)
    assert await _title(titled) == "b"
    await _update(titled, push_notification_title_override="")
    assert await _title(titled) == ""
    await _update(titled, push_notification_title_override="c")
    await _update(titled, push_notification_title_override="", update_mask=_MASKED)
    assert await _title(titled) == ""


async def test_a_title_that_is_masked_and_unset_is_cleared_and_the_etag_moves(titled: Suite) -> None:
    before = (await titled.rooms.GetRoom(rooms_pb2.GetRoomRequest(room_id="r"), metadata=su())).room
    await _update(titled, update_mask=_MASKED)
    assert await _title(titled) is None
    after = (await titled.rooms.GetRoom(rooms_pb2.GetRoomRequest(room_id="r"), metadata=su())).room
    assert after.etag != before.etag


async def test_a_repeated_creation_with_another_title_is_another_request(titled: Suite) -> None:
    request = rooms_pb2.CreateRoomRequest(name="x", request_id="1", visibility="VISIBILITY_PUBLIC")
    await titled.rooms.CreateRoom(request, metadata=user("alice"))
    request.push_notification_title_override = ""
    await refused(titled.rooms.CreateRoom(request, metadata=user("alice")), "REQUEST_ID_REUSED")
