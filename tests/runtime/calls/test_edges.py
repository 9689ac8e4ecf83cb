"""An edge ends the subscriptions that it has brought, and nobody else's, and nothing but subscriptions."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import grpc
import pytest
from chatkit.contract.v1 import error_reason_pb2
from chatkit.internal.edges.v1 import edges_service_pb2 as pb2
from chatkit.internal.edges.v1.edges_service_pb2_grpc import EdgesServiceStub
from chatkit.messages.v1 import messages_service_pb2
from chatkit.rooms.v1 import rooms_service_pb2
from chatkit.users.v1 import presence_service_pb2

from services.runtime.calls.edge_header import EDGE_HEADER
from services.runtime.calls.edges import name_of
from services.runtime.contract.errors import ChatkitError, Unavailable
from services.runtime.contract.policies import Limits
from services.runtime.identity.tokens import Caller
from services.runtime.ids import UserId
from services.runtime.streaming.open_streams import OpenStream, Streams
from tests.support import tokens
from tests.support.clock import ManualClock
from tests.support.databases import TestDatabase
from tests.support.eventually import HANG_SECONDS
from tests.support.refusals import refused
from tests.support.suite import Suite, running

_SECRET = b"s" * 32
_CALLER = Caller(UserId("bob"), superuser=False, service=None, expire_time=ManualClock().now())


@pytest.fixture
async def suite(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Suite]:
    """Run everything that has subscriptions."""
    async with running(database, tmp_path, "users", "rooms", "messages") as started:
        await started.make_users("alice", "bob")
        await started.make_room("lobby", "alice", "bob")
        yield started


def _through(edge: str) -> Any:
    return (*tokens.user("bob"), (EDGE_HEADER, edge))


def _subscriptions(suite: Suite, edge: str) -> list[tuple[str, Any]]:
    """Open one of each kind through an edge; of each, the service that has it."""
    rooms = messages_service_pb2.SubscribeRoomsRequest(rooms=[{"room_id": "lobby"}])
    presence = presence_service_pb2.SubscribePresenceRequest(online=True)
    messages: Any = suite.messages
    return [
        ("users", suite.presence.SubscribePresence(presence, metadata=_through(edge))),
        ("rooms", suite.rooms.SubscribeUser(rooms_service_pb2.SubscribeUserRequest(), metadata=_through(edge))),
        (
            "messages",
            messages.SubscribeRoom(messages_service_pb2.SubscribeRoomRequest(room_id="lobby"), metadata=_through(edge)),
        ),
        ("messages", messages.SubscribeRooms(rooms, metadata=_through(edge))),
    ]


async def _until(call: Any, kind: str) -> Any:
    while (frame := await call.read()) is not grpc.aio.EOF:
        for event in frame.events:
            if event.WhichOneof("event") == kind:
                return event
    raise AssertionError(f"ended without {kind}")


async def _end(suite: Suite, service: str, secret: bytes) -> int:
    stub: Any = EdgesServiceStub(suite.channel(service))
    return int((await stub.EndStreams(pb2.EndStreamsRequest(secret=secret))).ended)


async def test_every_subscription_of_the_edge_is_closed_and_those_of_others_go_on(suite: Suite) -> None:
    async with asyncio.timeout(HANG_SECONDS):
        of_edge = _subscriptions(suite, name_of(_SECRET))
        of_others = [*_subscriptions(suite, name_of(b"another")), *_subscriptions(suite, "")]
        for _, call in (*of_edge, *of_others):
            await _until(call, "caught_up")
        assert [await _end(suite, name, _SECRET) for name in ("users", "rooms", "messages")] == [1, 1, 2]
        for _, call in of_edge:
            closed = (await _until(call, "closed")).closed
            assert closed.reason == error_reason_pb2.ERROR_REASON_SHUTTING_DOWN
            assert closed.HasField("retry_after")
            await refused(call.read(), "SHUTTING_DOWN")
        assert not any(call.done() for _, call in of_others)
        # They are not ended twice, and whoever guesses ends nobody's.
        assert [await _end(suite, name, _SECRET) for name in ("users", "rooms", "messages")] == [0, 0, 0]
        assert await _end(suite, "messages", bytes(32)) == 0


async def test_an_edge_must_show_its_secret(suite: Suite) -> None:
    stub: Any = EdgesServiceStub(suite.channel("users"))
    await refused(stub.EndStreams(pb2.EndStreamsRequest()), "FIELD_REQUIRED")
    await refused(stub.EndStreams(pb2.EndStreamsRequest(secret=b"short")), "FIELD_INVALID")


async def test_what_can_not_go_on_elsewhere_is_not_ended() -> None:
    streams = Streams(Limits(), ManualClock())
    told: list[ChatkitError] = []

    def error() -> Unavailable:
        return Unavailable("SHUTTING_DOWN", "")

    def opened(edge: str) -> AbstractContextManager[OpenStream]:
        return streams.open(_CALLER, edge)

    with opened("one") as upload, opened("one") as subscription, opened("two") as other:
        for stream in (subscription, other):
            stream.on_end(told.append)
        assert await streams.end_of_edge("one", error) == 1
        assert (upload.error, other.error) == (None, None)
        assert subscription.error is told[0]
        assert await streams.end_of_edge("one", error) == 0
        assert await streams.end_of_edge("three", error) == 0
    assert await streams.end_of_edge("two", error) == 0
