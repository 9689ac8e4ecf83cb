"""What rooms tells other services of the rooms that they show: only those of the user, and no more than fits."""

from typing import Any

import psycopg
import pytest
from chatkit.internal.descriptions.v1 import descriptions_service_pb2 as pb2
from chatkit.internal.descriptions.v1.descriptions_service_pb2_grpc import DescriptionsServiceStub
from chatkit.rooms.v1 import rooms_service_pb2 as rooms_pb2

from services.runtime.calls.paging import PAGE_BYTES
from tests.support.refusals import refused
from tests.support.suite import Suite
from tests.support.tokens import Metadata, service, su, user


@pytest.fixture
async def rooms(suite: Suite) -> Suite:
    """Run the suite with some users and rooms."""
    await suite.make_users("alice", "bob", "carol", "dan")
    await suite.make_room("few", "bob", "alice")
    await suite.make_room("many", "alice", "bob", "carol")
    await suite.make_room("others", "carol", "dan")
    return suite


def _uids(suite: Suite) -> dict[str, bytes]:
    with psycopg.connect(suite.database.superuser_dsn) as connection:
        return {room_id: uid.bytes for room_id, uid in connection.execute("SELECT id, uid FROM rooms.rooms")}


async def _described(
    suite: Suite, *room_uids: bytes, metadata: Metadata | None = None, most_members: int = 2
) -> pb2.BatchDescribeRoomsResponse:
    stub: Any = DescriptionsServiceStub(suite.channel("rooms"))
    request = pb2.BatchDescribeRoomsRequest(room_uids=room_uids, user_id="alice", most_members=most_members)
    answer: pb2.BatchDescribeRoomsResponse = await stub.BatchDescribeRooms(
        request, metadata=metadata or service("messages", "rooms")
    )
    return answer


async def test_a_users_rooms_are_described_in_the_order_asked_for_with_few_members(rooms: Suite) -> None:
    uids = _uids(rooms)
    answer = await _described(rooms, uids["many"], b"\1" * 16, uids["others"], uids["few"])
    told = [(room.room_uid, room.room.id, list(room.member_ids)) for room in answer.rooms]
    assert told == [(uids["many"], "many", []), (uids["few"], "few", ["alice", "bob"])]
    assert answer.answered_count == 4
    shown = await rooms.rooms.GetRoom(rooms_pb2.GetRoomRequest(room_id="many"), metadata=user("alice"))
    assert answer.rooms[0].room == shown.room
    (few, many) = (await _described(rooms, uids["few"], uids["many"], most_members=3)).rooms
    assert list(many.member_ids) == ["alice", "bob", "carol"]
    assert (await _described(rooms, uids["few"], most_members=0)).rooms[0].room == few.room


async def test_an_answer_ends_before_it_grows_too_large_and_says_where(rooms: Suite) -> None:
    # A list of numbers is longest as a proto.
    data = {"n": [1] * 2_500}
    for number in range(60):
        request = rooms_pb2.CreateRoomRequest(id=f"large {number:02}", name="L", visibility="VISIBILITY_PUBLIC")
        request.custom_data.update(data)
        await rooms.rooms.CreateRoom(request, metadata=user("alice"))
    uids = {room_id: uid for room_id, uid in sorted(_uids(rooms).items()) if room_id != "others"}
    first = await _described(rooms, *uids.values())
    assert PAGE_BYTES / 2 < first.ByteSize() <= PAGE_BYTES * 1.01
    assert 1 < first.answered_count == len(first.rooms) < len(uids)
    rest = await _described(rooms, *list(uids.values())[first.answered_count :])
    assert [room.room.id for room in (*first.rooms, *rest.rooms)] == list(uids)


async def test_what_is_no_uid_is_refused_and_so_is_who_is_no_service(rooms: Suite) -> None:
    uid = _uids(rooms)["few"]
    assert (await refused(_described(rooms, uid, b"short"), "FIELD_INVALID")).metadata == {"field": "room_uids[1]"}
    await refused(_described(rooms, uid, most_members=-1), "FIELD_INVALID")
    await refused(_described(rooms), "FIELD_REQUIRED")
    await refused(_described(rooms, uid, metadata=su()), "SERVICE_REQUIRED")
