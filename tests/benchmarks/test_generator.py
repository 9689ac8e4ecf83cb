"""The generator against the bare server and against the services: what is acknowledged is counted, and arrives."""

import os
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import grpc
import pytest
from chatkit.messages.v1 import messages_service_pb2 as pb2
from chatkit.rooms.v1 import rooms_service_pb2

from benchmarks.echo import BYTES, ECHO, ECHO_STREAM, Bare
from benchmarks.load import calls, fanout, live, openings, streamed
from benchmarks.load.jobs import Caller, CallsJob, LiveJob, OpeningsJob, Room, RoomJob, StreamsJob
from benchmarks.load.process import LoadFailed, in_own_process
from benchmarks.load.room import SEND
from benchmarks.seeding import TEMPLATE, Seeding, make_templates
from benchmarks.workloads.sends import PLACEHOLDER, call_body, send_of, stream_body
from tests.support.suite import Suite
from tests.support.tokens import su, token, user

_MEMBERS = [f"member-{number}" for number in range(5)]


@pytest.fixture
async def bare() -> AsyncIterator[CallsJob]:
    """Run a bare server; yields a job of three callers there."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Bare(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    callers = [Caller("a token", b"a body with N in it")] * 3
    yield CallsJob(f"127.0.0.1:{port}", ECHO, callers, {"bare": os.getpid()}, 0.2, 0.0, placeholder=b"N")
    await server.stop(None)


async def test_calls_are_answered_and_measured(bare: CallsJob) -> None:
    found = await in_own_process(calls.run, bare)
    assert found["answered_in_all"] >= found["count"] > 0
    assert found["refused"] == 0
    # Each call has a number of sixteen digits of its own.
    assert found["answer_bytes"] == len("a body with  in it") + 16
    assert found["cpu_seconds"].keys() == {"bare", "generator"}


async def test_an_answer_of_many_frames_is_whole(bare: CallsJob) -> None:
    found = await in_own_process(calls.run, replace(bare, path=BYTES, callers=[Caller("", b"300000")], placeholder=b""))
    assert (found["answer_bytes"], found["refused"]) == (300_000, 0)


async def test_refusals_are_not_taken_for_answers(bare: CallsJob) -> None:
    found = await in_own_process(calls.run, replace(bare, path="/bare.Echo/Nothing"))
    assert (found["answered_in_all"], found["count"]) == (0, 0)
    assert found["refused"] >= len(bare.callers)


def _streams(job: CallsJob, path: str) -> StreamsJob:
    return StreamsJob(job.address, path, job.callers, job.groups, 0.2, 0.0, job.placeholder, in_flight=3)


async def test_messages_on_streams_are_answered_and_measured(bare: CallsJob) -> None:
    found = await in_own_process(streamed.run, _streams(bare, ECHO_STREAM))
    assert found["answered_in_all"] >= found["count"] > 0
    assert found["refused"] == 0
    assert found["answer_bytes"] == len("a body with  in it") + 16


async def test_a_stream_that_is_refused_is_counted_with_all_that_it_had_in_flight(bare: CallsJob) -> None:
    found = await in_own_process(streamed.run, _streams(bare, "/bare.Echo/Nothing"))
    assert (found["answered_in_all"], found["refused"]) == (0, 3 * len(bare.callers))


async def test_every_acknowledged_send_on_a_stream_is_stored_and_refusals_are_counted(suite: Suite) -> None:
    await suite.make_users("alice")
    await suite.make_room("lobby", "alice")
    frames = [pb2.SendMessagesRequest(requests=[send_of(room_id)]) for room_id in ("lobby", "nowhere")]
    callers = [Caller(token("alice"), frame.SerializeToString()) for frame in frames]
    address = suite.servers["messages"].address
    job = StreamsJob(address, streamed.PATH, callers, {}, 0.2, 0.0, PLACEHOLDER, in_flight=2)
    found = await in_own_process(streamed.run, job)
    assert found["answered_in_all"] == suite.database.count("messages.messages") > 0
    assert found["refused"] > 0


async def test_a_generator_that_fails_says_why(bare: CallsJob) -> None:
    with pytest.raises(LoadFailed, match="Connect"):
        await in_own_process(calls.run, replace(bare, address="127.0.0.1:1"))


async def test_every_acknowledged_send_is_delivered_to_every_member(suite: Suite) -> None:
    await suite.make_users(*_MEMBERS)
    await suite.make_room("lobby", *_MEMBERS)
    room = Room("lobby", [token(member) for member in _MEMBERS])
    address = suite.servers["messages"].address
    found = await in_own_process(fanout.run, RoomJob(address, [room], {}, 0.2, 0.0, namespace=1, senders=2))
    assert found["acknowledged"] > 0
    assert found["delivered"] == found["expected"] == found["acknowledged"] * len(_MEMBERS)
    assert (found["lost"], found["doubled"]) == (0, 0)
    page = await suite.messages.ListMessages(pb2.ListMessagesRequest(room_id="lobby"), metadata=user(_MEMBERS[0]))
    assert page.messages[0].seq == found["acknowledged"]


@pytest.mark.parametrize(("path", "body"), [(SEND, call_body), (streamed.PATH, stream_body)])
async def test_sends_into_rooms_that_are_followed_are_timed_and_delivered(
    suite: Suite, path: str, body: Callable[[str], bytes]
) -> None:
    await suite.make_users("alice", "bob")
    rooms = [Room(room_id, [token("alice"), token("bob")]) for room_id in ("lobby", "kitchen")]
    for room in rooms:
        await suite.make_room(room.id, "alice", "bob")
    bodies = [body(room.id) for room in rooms]
    address = suite.servers["messages"].address
    found = await in_own_process(live.run, LiveJob(address, path, rooms, bodies, {}, 0.2, 0.0, PLACEHOLDER, 1))
    assert found["answered_in_all"] == suite.database.count("messages.messages") >= found["count"] > 0
    assert found["delivered"] == found["expected"] == 2 * found["answered_in_all"]
    assert (found["refused"], found["lost"], found["doubled"]) == (0, 0, 0)


async def test_seeded_rows_are_read_as_if_the_services_had_written_them(suite: Suite) -> None:
    await make_templates(suite.users, suite.rooms, suite.messages, su=su(), own=user(TEMPLATE))
    seeding = Seeding(suite.database.superuser_dsn)
    try:
        members = seeding.users("seeded-", 2)
        room_id, other_id = seeding.rooms("room-", 2, members)
        seeding.messages(room_id, 30)
        seeding.messages(other_id, 3, text_bytes=200)
        seeding.settle()
    finally:
        seeding.close()
    own = user(members[0])
    read = await suite.rooms.GetRoom(rooms_service_pb2.GetRoomRequest(room_id=room_id), metadata=own)
    assert (read.room.name, read.room.member_count, list(read.membership.user_ids)) == ("A room", 2, members)
    page = await suite.messages.ListMessages(pb2.ListMessagesRequest(room_id=room_id, page_size=100), metadata=own)
    assert [message.seq for message in page.messages] == list(range(30, 0, -1))
    written = await suite.messages.GetMessage(pb2.GetMessageRequest(room_id=TEMPLATE, seq=1), metadata=user(TEMPLATE))
    assert page.messages[0].parts == written.message.parts
    longer = await suite.messages.ListMessages(pb2.ListMessagesRequest(room_id=other_id), metadata=own)
    assert [len(message.parts[0].content) for message in longer.messages] == [200] * 3
    newest = await suite.messages.GetMessage(pb2.GetMessageRequest(room_id=room_id, seq=30), metadata=own)
    assert newest.message == page.messages[0]
    # The log goes on where the seeded messages end.
    job = CallsJob(suite.servers["messages"].address, SEND, [_sender(room_id, members[0])], {}, 0.1, 0.0, b"N" * 16, 1)
    sent = await in_own_process(calls.run, job)
    assert (sent["answered_in_all"] > 0, sent["refused"]) == (True, 0)
    last = await suite.messages.ListMessages(pb2.ListMessagesRequest(room_id=room_id, page_size=1), metadata=own)
    assert last.messages[0].seq == 30 + sent["answered_in_all"]
    opened = await in_own_process(
        openings.run, OpeningsJob(job.address, Room(room_id, [token(members[0])]), 20, {}, 0.1, 0.0)
    )
    assert (opened["opened_in_all"] > 0, opened["refused"]) == (True, 0)


def _sender(room_id: str, user_id: str) -> Caller:
    request = pb2.SendMessageRequest(
        room_id=room_id, request_id="NNNNNNNNNNNNNNNN", parts=[{"content_type": "text/plain", "content": "x"}]
    )
    return Caller(token(user_id), request.SerializeToString())
