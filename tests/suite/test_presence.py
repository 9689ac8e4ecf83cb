"""Presence through the edge as gRPC, gRPC-Web and Server-Sent Events."""

import asyncio
import json
from contextlib import aclosing

import pytest
from chatkit.contract.v1 import error_reason_pb2
from chatkit.users.v1 import presence_event_pb2 as event_pb2
from chatkit.users.v1 import presence_service_pb2 as pb2
from google.protobuf import json_format

from tests.edge.calling import Call
from tests.support import tokens
from tests.support.edge import Edge
from tests.support.eventually import HANG_SECONDS, eventually
from tests.support.faces import FACES, frames

_PATH = "/chatkit.users.v1.PresenceService/SubscribePresence"


def _kind(event: event_pb2.PresenceEvent) -> str:
    return str(event.WhichOneof("event"))


@pytest.mark.parametrize("face", FACES)
async def test_a_client_of_any_kind_is_online_and_watches(edge: Edge, face: str) -> None:
    token = tokens.token("alice")
    request = pb2.SubscribePresenceRequest(online=True, watch_user_ids=["bob", "alice"])
    bob = pb2.SubscribePresenceRequest(online=True)
    seen: list[event_pb2.PresenceEvent] = []
    async with asyncio.timeout(HANG_SECONDS), asyncio.TaskGroup() as group:

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
    async with asyncio.timeout(HANG_SECONDS), asyncio.TaskGroup() as group:
        async for frame in frames(face, edge, _PATH, request, pb2.SubscribePresenceResponse, tokens.token("alice")):
            seen.extend(frame.events)
            if _kind(seen[-1]) == "caught_up":
                group.create_task(edge.suite.stop("users"))
    closed = seen[-1].closed
    assert error_reason_pb2.ErrorReason.Name(closed.reason) == "SHUTTING_DOWN"
    assert 0 < closed.retry_after.ToTimedelta().total_seconds() <= 1
    assert edge.suite.database.count("users.presence_sessions") == 0


@pytest.mark.parametrize("face", ["grpc", "grpc-web", "json"])
async def test_watching_a_crowd_that_does_not_exist_is_told_and_ends_nobody_elses_stream(edge: Edge, face: str) -> None:
    missing = [f"{number:03}".ljust(160, "ÿ") for number in range(400)]
    request = pb2.SubscribePresenceRequest(watch_user_ids=missing)
    call = Call(_PATH, request.SerializeToString(), json_format.MessageToDict(request))
    neighbour = pb2.SubscribePresenceRequest(watch_user_ids=["alice"])
    token = tokens.token("bob")
    async with asyncio.timeout(HANG_SECONDS):
        stream = frames("grpc", edge, _PATH, neighbour, pb2.SubscribePresenceResponse, token)
        async with aclosing(stream) as opened:
            await anext(opened)
            told = await call.by(face, edge)
            assert told is not None
            assert told.error.reason == "USER_NOT_FOUND"
            named = json.loads(told.error.metadata["user_ids"])
            assert named == missing[: len(named)]
            assert int(told.error.metadata["user_ids_left_out"]) == 400 - len(named)
            # The neighbour's stream is on the same connection to the service, and goes on.
            online = pb2.SubscribePresenceRequest(online=True)
            alice = frames("sse", edge, _PATH, online, pb2.SubscribePresenceResponse, tokens.token("alice"))
            async with aclosing(alice) as come:
                await anext(come)
                while not any(_kind(event) == "presence_changed" for event in (await anext(opened)).events):
                    pass


async def test_presence_is_read_in_json(edge: Edge) -> None:
    headers = {"authorization": f"Bearer {tokens.token('alice')}"}
    path = "/chatkit.users.v1.PresenceService/GetPresence"
    answer = await edge.http.post(path, json={"userIds": ["bob", "nobody"]}, headers=headers)
    assert answer.json() == {"presences": [{"userId": "bob", "state": "PRESENCE_STATE_OFFLINE"}]}
    refusal = await edge.http.post(path, json={}, headers=headers)
    assert refusal.status_code == 400
    assert refusal.json()["details"][0]["metadata"] == {"field": "userIds"}
