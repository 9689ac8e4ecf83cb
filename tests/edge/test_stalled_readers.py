"""Whoever stops reading holds up nobody on the connections to services, which all clients share, and costs little."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from chatkit.files.v1 import files_service_pb2
from chatkit.messages.v1 import messages_service_pb2, part_pb2
from chatkit.rooms.v1 import memberships_service_pb2, rooms_service_pb2
from chatkit.sync.v1 import presence_part_pb2, sync_service_pb2, user_part_pb2
from google.protobuf.message import Message

from tests.edge.calling import Call
from tests.support import http2, tokens, uploads
from tests.support.edge import running_edge
from tests.support.envoys import envoy_of
from tests.support.eventually import HANG_SECONDS, until
from tests.support.suite import Suite

_HOSTILE = ("mallory", "mia", "max")
# What the limits allow one user, on one connection.
_STREAMS = 100
# What the edge may hold for a stream that nobody reads.
_HELD_BYTES = 256 * 1024
_CONTENT = b"x" * 1_000_000


async def _fill_the_room(suite: Suite) -> None:
    part = part_pb2.Part(content_type="text/plain", content="x" * 5_000)
    request = messages_service_pb2.BatchSendMessagesRequest()
    for number in range(100):
        request.requests.add(room_id="lobby", sender_id="alice", parts=[part], request_id=f"{number}")
    await suite.messages.BatchSendMessages(request, metadata=tokens.su())


async def _subscription(suite: Suite, _user: str) -> Message:
    await _fill_the_room(suite)
    return messages_service_pb2.SubscribeRoomRequest(room_id="lobby", last=100)


async def _page(suite: Suite, _user: str) -> Message:
    await _fill_the_room(suite)
    return messages_service_pb2.ListMessagesRequest(room_id="lobby", page_size=100)


async def _user_stream(suite: Suite, user: str) -> Message:
    for number in range(20):
        request = rooms_service_pb2.CreateRoomRequest(
            id=f"{user}{number}", name="x", visibility="VISIBILITY_PRIVATE", creator_id=user
        )
        request.custom_data["text"] = "x" * 5_000
        await suite.rooms.CreateRoom(request, metadata=tokens.su())
    return rooms_service_pb2.SubscribeUserRequest()


async def _device(suite: Suite, user: str) -> Message:
    await _fill_the_room(suite)
    await _user_stream(suite, user)
    return sync_service_pb2.SubscribeRequest(
        follow_memberships=True,
        default_last=100,
        include_read_states=True,
        user=user_part_pb2.UserPart(),
        presence=presence_part_pb2.PresencePart(online=True, watch_user_ids=_HOSTILE),
    )


async def _download(suite: Suite, user: str) -> Message:
    file = await uploads.add(suite.files, _CONTENT, tokens.user(user))
    return files_service_pb2.DownloadFileRequest(room_id="lobby", file_id=file.id)


@dataclass(frozen=True)
class Attack:
    """What is asked for and never read, and the call of somebody else to the same service."""

    path: str
    asked: Callable[[Suite, str], Awaitable[Message]]
    victim: Call
    service: str


_LIST_MEMBERS = Call(
    "/chatkit.rooms.v1.MembershipsService/ListMembers",
    memberships_service_pb2.ListMembersRequest(room_id="lobby").SerializeToString(),
    {"roomId": "lobby"},
)
_LIST_FILES = Call(
    "/chatkit.files.v1.FilesService/ListFiles",
    files_service_pb2.ListFilesRequest(room_id="lobby").SerializeToString(),
    {"roomId": "lobby"},
)
_READ_STATES = Call("/chatkit.messages.v1.ReadStatesService/ListReadStates", b"", {})
ATTACKS = {
    "SubscribeRoom": Attack(
        "/chatkit.messages.v1.MessagesService/SubscribeRoom", _subscription, _READ_STATES, "messages"
    ),
    "ListMessages": Attack("/chatkit.messages.v1.MessagesService/ListMessages", _page, _READ_STATES, "messages"),
    "Subscribe": Attack("/chatkit.sync.v1.SyncService/Subscribe", _device, _READ_STATES, "messages"),
    "SubscribeUser": Attack("/chatkit.rooms.v1.RoomsService/SubscribeUser", _user_stream, _LIST_MEMBERS, "rooms"),
    "DownloadFile": Attack("/chatkit.files.v1.FilesService/DownloadFile", _download, _LIST_FILES, "files"),
}


@pytest.mark.parametrize("name", ATTACKS)
async def test_streams_that_nobody_reads_hold_up_nobody_else(name: str, suite: Suite, short_path: Path) -> None:
    attack = ATTACKS[name]
    await suite.make_users("alice", *_HOSTILE)
    await suite.make_room("lobby", "alice", *_HOSTILE)
    async with (
        asyncio.timeout(HANG_SECONDS),
        running_edge(suite, short_path, CHATKIT_LIMIT_REQUESTS_PER_USER_PER_SECOND="4000") as edge,
        AsyncExitStack() as stack,
    ):
        assert await attack.victim.by("grpc", edge) is None
        # Counted where they go on, because pages that nobody reads may be given up before others have come.
        calls = f"cluster.{attack.service}.upstream_rq_total"
        wanted = await edge.stat(calls) + _STREAMS * len(_HOSTILE)
        before = envoy_of(edge).memory_info().rss
        for user in _HOSTILE:
            body = (await attack.asked(suite, user)).SerializeToString()
            connection = await stack.enter_async_context(http2.unread(edge.address))
            for _ in range(_STREAMS):
                await connection.call(attack.path, body, *tokens.user(user))

        async def has_arrived() -> bool:
            return await edge.stat(calls) >= wanted

        async def is_answered(face: str) -> bool:
            return await attack.victim.by(face, edge) is None

        await until(has_arrived)
        # Who waits for what nobody reads waits for ever; what a slow machine opens first takes its time only.
        for face in ("grpc", "grpc-web", "json") * 5:
            await until(partial(is_answered, face))
        assert envoy_of(edge).memory_info().rss - before < _HELD_BYTES * _STREAMS * len(_HOSTILE)
