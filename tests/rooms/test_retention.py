"""A room's own retention: who may set it, from which number on, how it is cleared, and what other services are told."""

from typing import Any

import psycopg
import pytest
from chatkit.internal.retention.v1 import retention_service_pb2 as retention_pb2
from chatkit.internal.retention.v1.retention_service_pb2_grpc import RetentionServiceStub
from chatkit.rooms.v1 import rooms_service_pb2 as rooms_pb2
from google.protobuf import field_mask_pb2

from tests.support.refusals import refused
from tests.support.suite import Suite
from tests.support.tokens import Metadata, service, su, user

_MASKED = field_mask_pb2.FieldMask(paths=["retention_days"])


@pytest.fixture
async def kept(suite: Suite) -> Suite:
    """Run the suite with a room of alice's, in which messages are kept for 30 days."""
    await suite.make_users("alice", "admin")
    await suite.assign("admin", "admin")
    request = rooms_pb2.CreateRoomRequest(
        id="r", name="R", retention_days=30, creator_id="alice", visibility="VISIBILITY_PUBLIC"
    )
    created = await suite.rooms.CreateRoom(request, metadata=su())
    assert created.room.retention_days == 30
    return suite


async def _days(suite: Suite, room_id: str = "r") -> int | None:
    """Return what rooms tells everybody; None is unset."""
    room = (await suite.rooms.GetRoom(rooms_pb2.GetRoomRequest(room_id=room_id), metadata=su())).room
    days = room.retention_days if room.HasField("retention_days") else None
    assert days in (await _told(suite)).values()
    return days


async def _told(suite: Suite, *others: bytes) -> dict[bytes, int | None]:
    """Return what rooms tells other services about all rooms, and about others that are asked about as well."""
    stub: Any = RetentionServiceStub(suite.channel("rooms"))
    request = retention_pb2.BatchGetRetentionRequest(room_uids=[*_uids(suite), *others])
    answer = await stub.BatchGetRetention(request, metadata=service("messages", "rooms"))
    return {room.room_uid: room.days if room.HasField("days") else None for room in answer.rooms}


def _uids(suite: Suite) -> list[bytes]:
    with psycopg.connect(suite.database.superuser_dsn) as connection:
        return [uid.bytes for (uid,) in connection.execute("SELECT uid FROM rooms.rooms")]


async def _update(suite: Suite, who: Metadata | None = None, **changes: object) -> None:
    request = rooms_pb2.UpdateRoomRequest(room_id="r", **changes)  # type: ignore[arg-type]
    await suite.rooms.UpdateRoom(request, metadata=who or su())


async def test_a_room_without_a_retention_has_the_deployments(suite: Suite) -> None:
    await suite.make_users("alice")
    await suite.make_room("bare", "alice")
    assert await _days(suite, "bare") is None


async def test_a_retention_is_changed_with_and_without_a_mask_and_left_by_what_does_not_name_it(kept: Suite) -> None:
    await _update(kept, name="S")
    assert await _days(kept) == 30
    await _update(kept, retention_days=7)
    assert await _days(kept) == 7
    await _update(kept, retention_days=10_000, update_mask=_MASKED)
    assert await _days(kept) == 10_000


async def test_a_retention_that_is_masked_and_unset_is_cleared(kept: Suite) -> None:
    before = (await kept.rooms.GetRoom(rooms_pb2.GetRoomRequest(room_id="r"), metadata=su())).room
    await _update(kept, update_mask=_MASKED)
    assert await _days(kept) is None
    after = (await kept.rooms.GetRoom(rooms_pb2.GetRoomRequest(room_id="r"), metadata=su())).room
    assert after.etag != before.etag


async def test_less_than_the_minimum_is_refused_and_the_limit_named(kept: Suite) -> None:
    create = rooms_pb2.CreateRoomRequest(id="short", name="S", creator_id="alice", visibility="VISIBILITY_PUBLIC")
    update = rooms_pb2.UpdateRoomRequest(room_id="r", update_mask=_MASKED)
    for days, call, request in (
        (6, kept.rooms.CreateRoom, create),
        (0, kept.rooms.CreateRoom, create),
        (-1, kept.rooms.UpdateRoom, update),
        (0, kept.rooms.UpdateRoom, rooms_pb2.UpdateRoomRequest(room_id="r")),
    ):
        request.retention_days = days
        refusal = await refused(call(request, metadata=su()), "BELOW_MINIMUM")
        assert refusal.metadata == {
            "limit": "RETENTION_DAYS",
            "minimum": "7",
            "actual": str(days),
            "field": "retention_days",
        }
    assert await _days(kept) == 30
    await refused(kept.rooms.GetRoom(rooms_pb2.GetRoomRequest(room_id="short"), metadata=su()), "ROOM_NOT_FOUND")


async def test_who_may_update_rooms_may_set_it_and_nobody_else(kept: Suite) -> None:
    create = rooms_pb2.CreateRoomRequest(id="new", name="N", retention_days=7, visibility="VISIBILITY_PUBLIC")
    update = rooms_pb2.UpdateRoomRequest(room_id="r", retention_days=7)
    for call in (
        kept.rooms.CreateRoom(create, metadata=user("alice")),
        kept.rooms.UpdateRoom(update, metadata=user("alice")),
    ):
        assert (await refused(call, "PERMISSION_MISSING")).metadata == {"permission": "room:update"}
    await refused(kept.rooms.GetRoom(rooms_pb2.GetRoomRequest(room_id="new"), metadata=su()), "ROOM_NOT_FOUND")
    await kept.rooms.CreateRoom(create, metadata=user("admin"))
    assert await _days(kept, "new") == 7
    await kept.assign("alice", "admin")
    await kept.rooms.UpdateRoom(update, metadata=user("alice"))
    assert await _days(kept) == 7


async def test_a_repeated_creation_with_another_retention_is_another_request(kept: Suite) -> None:
    request = rooms_pb2.CreateRoomRequest(name="x", request_id="1", creator_id="alice", visibility="VISIBILITY_PUBLIC")
    await kept.rooms.CreateRoom(request, metadata=su())
    request.retention_days = 7
    await refused(kept.rooms.CreateRoom(request, metadata=su()), "REQUEST_ID_REUSED")


async def test_nothing_is_told_of_rooms_that_do_not_exist_and_what_is_no_uid_is_refused(kept: Suite) -> None:
    assert list(await _told(kept, b"\1" * 16)) == _uids(kept)
    assert (await refused(_told(kept, b"short"), "FIELD_INVALID")).metadata == {"field": "room_uids[1]"}
    stub: Any = RetentionServiceStub(kept.channel("rooms"))
    request = retention_pb2.BatchGetRetentionRequest(room_uids=_uids(kept))
    await refused(stub.BatchGetRetention(request, metadata=su()), "SERVICE_REQUIRED")
