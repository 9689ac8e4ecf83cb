"""SubscribeUser through the edge, as clients of three kinds see it."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from chatkit.rooms.v1 import memberships_service_pb2 as memberships_pb2
from chatkit.rooms.v1 import rooms_service_pb2 as pb2
from chatkit.rooms.v1 import user_event_pb2
from chatkit.users.v1 import users_service_pb2 as users_pb2
from google.protobuf import struct_pb2

from tests.rooms.user_streams.reading import Folded, listed, reason, short
from tests.support import tokens
from tests.support.edge import Edge
from tests.support.eventually import HANG_SECONDS
from tests.support.faces import FACES, frames
from tests.support.tokens import su, user

_PATH = "/chatkit.rooms.v1.RoomsService/SubscribeUser"


async def _events(face: str, edge: Edge) -> AsyncIterator[user_event_pb2.UserEvent]:
    """Follow bob's rooms."""
    opened = frames(face, edge, _PATH, pb2.SubscribeUserRequest(), pb2.SubscribeUserResponse, tokens.token("bob"))
    async for frame in opened:
        for event in frame.events:
            yield event


async def _change(edge: Edge) -> None:
    """Change what bob sees, and end his stream."""
    suite, data = edge.suite, struct_pb2.Struct()
    data["text"] = "x" * 5_000
    created = pb2.CreateRoomRequest(
        id="hall", name="Hall", user_ids=["bob"], custom_data=data, visibility="VISIBILITY_PUBLIC"
    )
    await suite.rooms.CreateRoom(created, metadata=user("alice"))
    await suite.rooms.UpdateRoom(
        pb2.UpdateRoomRequest(room_id="lobby", push_notification_title_override=""), metadata=su()
    )
    await suite.users.UpdateUser(users_pb2.UpdateUserRequest(user_id="alice", name="Alice"), metadata=su())
    left = memberships_pb2.LeaveRoomRequest(room_id="hall")
    await suite.memberships.LeaveRoom(left, metadata=user("alice"))


@pytest.mark.parametrize("face", FACES)
async def test_the_state_its_changes_and_the_ending_arrive_in_every_face(edge: Edge, face: str) -> None:
    folded, kinds, seen = Folded(), set[str](), []
    async with asyncio.timeout(HANG_SECONDS), asyncio.TaskGroup() as group:
        async for event in _events(face, edge):
            folded.apply(event)
            seen.append(short(event))
            kinds.add(seen[-1].split(" ")[0])
            if event.HasField("caught_up"):
                assert seen == ["opened bob", "room lobby alice,bob", "caught_up 1"]
                group.create_task(_change(edge))
            if kinds >= {"added_to_room", "room_updated", "user_updated", "member_left"} and "closed" not in kinds:
                assert folded.rooms == await listed(edge.suite, "bob")
                assert folded.users["alice"].name == "Alice"
                kinds.add("closed")
                group.create_task(edge.suite.stop("rooms"))
    assert event.HasField("closed")
    assert reason(event.closed) == "SHUTTING_DOWN"
    assert event.closed.HasField("retry_after")
