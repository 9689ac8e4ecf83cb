"""Every ending of a stream that the server decides can be told apart by a client that reads only frames."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path

import grpc
import psycopg
import pytest
from chatkit.contract.v1 import error_reason_pb2
from chatkit.messages.v1 import messages_service_pb2 as pb2
from chatkit.messages.v1 import part_pb2, room_event_pb2
from chatkit.messages.v1.room_subscription_pb2 import RoomSubscription
from chatkit.rooms.v1 import memberships_service_pb2 as memberships_pb2

from tests.support import tokens
from tests.support.clock import LeapingClock
from tests.support.databases import TestDatabase
from tests.support.edge import Edge
from tests.support.eventually import HANG_SECONDS
from tests.support.faces import FACES, events
from tests.support.suite import Suite, running
from tests.support.tokens import su, user

# Of bob's tokens; those of others are good for an hour.
_LIFETIME = timedelta(minutes=10)
End = Callable[[Edge], Coroutine[None, None, None]]


@pytest.fixture
async def suite(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Suite]:
    """Run the services on a clock that a test may move."""
    async with running(database, tmp_path, "users", "rooms", "messages", "files", clock=LeapingClock()) as started:
        yield started


async def _send(edge: Edge, request_id: str, content: str = "hello") -> int:
    part = part_pb2.Part(content_type="text/plain", content=content)
    request = pb2.SendMessageRequest(room_id="lobby", parts=[part], request_id=request_id)
    return int((await edge.suite.messages.SendMessage(request, metadata=user("alice"))).message.seq)


async def _send_many(edge: Edge, numbers: range) -> None:
    part = part_pb2.Part(content_type="text/plain", content="x" * 5_000)
    sends = [
        pb2.SendMessageRequest(room_id="lobby", sender_id="alice", parts=[part], request_id=f"{number}")
        for number in numbers
    ]
    await edge.suite.messages.BatchSendMessages(pb2.BatchSendMessagesRequest(requests=sends), metadata=su())


async def _remove(edge: Edge) -> None:
    request = memberships_pb2.RemoveMembersRequest(room_id="lobby", user_ids=["bob"])
    await edge.suite.memberships.RemoveMembers(request, metadata=user("alice"))


async def _leave(edge: Edge) -> None:
    await edge.suite.memberships.LeaveRoom(memberships_pb2.LeaveRoomRequest(room_id="lobby"), metadata=user("bob"))


async def _stop(edge: Edge) -> None:
    await edge.suite.stop("messages")


async def _replace_the_database(edge: Edge) -> None:
    """Make the log's own note of its database wrong, as after a restore elsewhere, and cut every connection."""
    with psycopg.connect(edge.suite.database.superuser_dsn, autocommit=True) as connection:
        connection.execute("UPDATE messages.deployment SET system_identifier = 1")
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid()"
        )

    # The committer looks whose database it is when it connects, which is before its next append.
    async with asyncio.timeout(HANG_SECONDS):
        while True:
            try:
                await _send(edge, "after the restore")
            except grpc.aio.AioRpcError as error:
                assert error.code() is grpc.StatusCode.UNAVAILABLE  # noqa: PT017 - until it has connected
            else:
                return


async def _expire(edge: Edge) -> None:
    """Let bob's token expire for the services; Envoy has looked at it when the stream began, and does not again."""
    clock = edge.suite.clock
    assert isinstance(clock, LeapingClock)
    clock.leap(_LIFETIME.total_seconds() + 1)


_ENDINGS: list[tuple[str, End]] = [
    ("REMOVED_FROM_ROOM", _remove),
    ("REMOVED_FROM_ROOM", _leave),
    ("SHUTTING_DOWN", _stop),
    ("LOG_RESET", _replace_the_database),
    ("TOKEN_EXPIRED", _expire),
]


@pytest.mark.parametrize("face", FACES)
async def test_the_last_event_says_why_and_where(edge: Edge, face: str) -> None:
    for number, (reason, end) in enumerate(_ENDINGS):
        seq = await _send(edge, f"{face} {number}")
        closed = await _closed(edge, face, end)
        assert error_reason_pb2.ErrorReason.Name(closed.reason) == reason
        assert closed.position.seq == seq
        assert closed.position.epoch
        assert closed.code != 0
        await _restore(edge, reason)


async def _closed(edge: Edge, face: str, end: End) -> room_event_pb2.Closed:
    token = tokens.token("bob", ttl=_LIFETIME)
    request = pb2.SubscribeRoomRequest(room_id="lobby", last=1)
    seen = []
    async with asyncio.timeout(HANG_SECONDS), asyncio.TaskGroup() as group:
        async for event in events(face, edge, request, token):
            seen.append(event)
            if event.HasField("caught_up"):
                group.create_task(end(edge))
    assert seen[-1].HasField("closed"), seen
    return seen[-1].closed


async def _restore(edge: Edge, reason: str) -> None:
    match reason:
        case "REMOVED_FROM_ROOM":
            request = memberships_pb2.AddMembersRequest(room_id="lobby", user_ids=["bob"])
            await edge.suite.memberships.AddMembers(request, metadata=user("alice"))
        case "SHUTTING_DOWN":
            await edge.suite.start("messages", listen=edge.suite.servers["messages"].address)


async def _revoke(edge: Edge) -> None:
    tokens.write(edge.suite.folder / "keys.json", tokens.SECOND_KEY)


@pytest.mark.parametrize("face", FACES)
async def test_a_stream_ends_when_the_key_of_its_token_is_revoked(edge: Edge, face: str) -> None:
    seq = await _send(edge, "before")
    closed = await _closed(edge, face, _revoke)
    assert error_reason_pb2.ErrorReason.Name(closed.reason) == "TOKEN_INVALID"
    assert (closed.code, closed.position.seq) == (grpc.StatusCode.UNAUTHENTICATED.value[0], seq)


@pytest.mark.parametrize("face", FACES)
async def test_a_reader_who_stops_is_told_so_when_it_reads_on(edge: Edge, face: str) -> None:
    request = pb2.SubscribeRoomRequest(room_id="lobby", last=0)
    stream = events(face, edge, request, tokens.token("bob"))
    async with asyncio.timeout(HANG_SECONDS), aclosing(stream) as opened:
        async for event in opened:
            if event.HasField("caught_up"):
                break
        # More than the buffers of kernel, edge and service hold together. Nobody reads meanwhile; in large requests,
        # because the edge gives a stream up of which nothing is read for a minute.
        for start in range(0, 3_000, 100):
            await _send_many(edge, range(start, start + 100))
        seen = [event async for event in opened]
    assert error_reason_pb2.ErrorReason.Name(seen[-1].closed.reason) == "SLOW_CONSUMER"
    seqs = [event.seq for event in seen if event.HasField("message_created")]
    assert seqs == list(range(1, len(seqs) + 1))
    assert len(seqs) < 3_000


@pytest.mark.parametrize("face", FACES)
async def test_a_room_of_several_is_closed_for_itself_and_the_stream_says_when_it_ends(edge: Edge, face: str) -> None:
    await edge.suite.make_room("garden", "bob")
    await edge.suite.make_room("secret", "alice", private=True)
    rooms = [RoomSubscription(room_id=room_id) for room_id in ("lobby", "garden", "secret")]
    request = pb2.SubscribeRoomsRequest(rooms=rooms)
    told = []
    async with asyncio.timeout(HANG_SECONDS), asyncio.TaskGroup() as group:
        async for event in events(face, edge, request, tokens.token("bob", ttl=_LIFETIME)):
            told.append((event.room_id, event.WhichOneof("event"), event.closed.reason))
            if told[-1][:2] == ("", "caught_up"):
                group.create_task(_remove(edge))
            if told[-1][:2] == ("lobby", "closed"):
                group.create_task(_expire(edge))
    name = error_reason_pb2.ErrorReason.Value
    assert told == [
        ("", "opened", 0),
        ("secret", "closed", name("ROOM_ACCESS_DENIED")),
        ("lobby", "opened", 0),
        ("lobby", "caught_up", 0),
        ("garden", "opened", 0),
        ("garden", "caught_up", 0),
        ("", "caught_up", 0),
        ("lobby", "closed", name("REMOVED_FROM_ROOM")),
        ("", "closed", name("TOKEN_EXPIRED")),
    ]
