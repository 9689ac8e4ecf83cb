"""Presence through the edge as gRPC, gRPC-Web and Server-Sent Events."""

import asyncio
from contextlib import aclosing

import pytest
from chatkit.contract.v1 import error_reason_pb2
from chatkit.users.v1 import presence_event_pb2 as event_pb2
from chatkit.users.v1 import presence_service_pb2 as pb2

from tests.support import tokens
from tests.support.edge import Edge
from tests.support.eventually import eventually
from tests.support.faces import FACES, frames

_PATH = "/chatkit.users.v1.PresenceService/SubscribePresence"
_SECONDS = 60


def _kind(event: event_pb2.PresenceEvent) -> str:
    return str(event.WhichOneof("event"))


@pytest.mark.parametrize("face", FACES)
async def test_a_client_of_any_kind_is_online_and_watches(edge: Edge, face: str) -> None:
    token = tokens.token("alice")
    request = pb2.SubscribePresenceRequest(online=True, watch_user_ids=["bob", "alice"])
    bob = pb2.SubscribePresenceRequest(online=True)
    seen: list[event_pb2.PresenceEvent] = []
    async with asyncio.timeout(_SECONDS), asyncio.TaskGroup() as group:

        async def come() -> None:
            async with aclosing(
                frames(face, edge, _PATH, bob, pb2.SubscribePresenceResponse, tokens.token("bob"))
            ) as own:
                async for _ in own:
                    await over.wait()
                    return

        over = asyncio.Event()
        async with aclosing(frames(face, edge, _PATH, request, pb2.SubscribePresenceResponse, token)) as opened:
            async for frame in opened:
                seen.extend(frame.events)
                if _kind(seen[-1]) == "caught_up":
                    group.create_task(come())
                if _kind(seen[-1]) == "presence_changed":
                    break
        over.set()
    assert [_kind(event) for event in seen] == ["opened", "presence", "presence", "caught_up", "presence_changed"]
    assert [(event.presence.user_id, event.presence.state) for event in seen[1:3]] == [
        ("bob", event_pb2.PRESENCE_STATE_OFFLINE),
        ("alice", event_pb2.PRESENCE_STATE_ONLINE),
    ]
    assert seen[-1].presence_changed.user_id == "bob"
    assert seen[-1].presence_changed.state == event_pb2.PRESENCE_STATE_ONLINE
    # Both have hung up, and the service knows it through the edge.
    await eventually(lambda: edge.suite.database.count("users.presence_sessions") == 0)


@pytest.mark.parametrize("face", FACES)
async def test_the_last_event_says_that_the_service_stops(edge: Edge, face: str) -> None:
    request = pb2.SubscribePresenceRequest(online=True)
    seen: list[event_pb2.PresenceEvent] = []
    async with asyncio.timeout(_SECONDS), asyncio.TaskGroup() as group:
        async for frame in frames(face, edge, _PATH, request, pb2.SubscribePresenceResponse, tokens.token("alice")):
            seen.extend(frame.events)
            if _kind(seen[-1]) == "caught_up":
                group.create_task(edge.suite.stop("users"))
    closed = seen[-1].closed
    assert error_reason_pb2.ErrorReason.Name(closed.reason) == "ERROR_REASON_SHUTTING_DOWN"
    assert 0 < closed.retry_after.ToTimedelta().total_seconds() <= 1
    assert edge.suite.database.count("users.presence_sessions") == 0
