"""Apps that start and come back ask for what a session of the Python client asks for, and all they are told counts."""

import os
from dataclasses import replace

import grpc
import pytest
from chatkit.messages.v1 import messages_service_pb2, part_pb2

from benchmarks.echo import Bare
from benchmarks.load import starts
from benchmarks.load.jobs import BareStartsJob, StartsJob
from benchmarks.load.process import LoadFailed, in_own_process
from chatkit_client import connect
from chatkit_client.proto.contract.v1 import stream_pb2
from chatkit_client.proto.messages.v1 import message_pb2, read_state_pb2, room_event_pb2
from chatkit_client.proto.sync.v1 import sync_service_pb2 as pb2
from chatkit_client.proto.sync.v1.room_to_follow_pb2 import ROOM_DETAIL_EVENTS, ROOM_DETAIL_READ_STATE
from tests.clients.scripted import HastyClock, caught_up, message, position, snapshot
from tests.clients.scripted_devices import (
    CAUGHT_UP,
    OPENED,
    Devices,
    Event,
    in_room,
    serve,
    user_caught_up,
    user_opened,
    user_room,
)
from tests.support.eventually import eventually
from tests.support.suite import Suite
from tests.support.tokens import su, token

_ROOMS = ["attic", "cellar", "garden", "kitchen"]
_MESSAGES = 25
_CUT = Event(closed=stream_pb2.StreamClosed(code=14, reason="ERROR_REASON_SHUTTING_DOWN"))


def _job(address: str, **changes: object) -> StartsJob:
    job = StartsJob(address, token("alice"), len(_ROOMS), is_resumed=False, groups={}, seconds=0.1, warm_up_seconds=0.0)
    return replace(job, **changes)  # type: ignore[arg-type]


@pytest.fixture
async def talkative(suite: Suite) -> StartsJob:
    """Fill the suite with rooms in which something was said, and return the job of its member."""
    await suite.make_users("alice", "bob")
    for room_id in _ROOMS:
        await suite.make_room(room_id, "alice", "bob")
        part = part_pb2.Part(content_type="text/plain", content="x")
        requests = [
            messages_service_pb2.SendMessageRequest(
                room_id=room_id, sender_id="bob", request_id=f"{room_id}-{number}", parts=[part]
            )
            for number in range(_MESSAGES)
        ]
        batch = messages_service_pb2.BatchSendMessagesRequest(requests=requests)
        await suite.messages.BatchSendMessages(batch, metadata=su())
    return _job(suite.servers["messages"].address)


async def test_an_app_that_starts_is_told_its_rooms_and_the_last_messages_of_three(talkative: StartsJob) -> None:
    found = await in_own_process(starts.run, talkative)
    assert found["count"] > 0
    assert (found["rooms"], found["read_states"], found["messages"]) == (4, 4, 60)
    assert (found["lost"], found["doubled"], found["refused"], found["reasons"]) == (0, 0, 0, [])
    assert len(found["answers"]) == 3
    assert found["received_bytes"] > sum(found["frames"]) > 0
    assert found["sent_bytes"] > found["request_bytes"] > 0


async def test_an_app_that_comes_back_is_told_what_it_has_missed(talkative: StartsJob) -> None:
    found = await in_own_process(starts.run, replace(talkative, is_resumed=True))
    assert found["count"] > 0
    assert (found["rooms"], found["read_states"], found["messages"], found["answers"]) == (0, 4, 15, [])
    assert (found["lost"], found["doubled"], found["refused"]) == (0, 0, 0)


async def test_what_an_app_was_not_told_is_lost_and_a_refusal_is_counted_with_its_reason(talkative: StartsJob) -> None:
    found = await in_own_process(starts.run, replace(talkative, rooms=6))
    # Of two rooms, that they are there and what they hold.
    assert (found["lost"], found["refused"]) == (4 * found["count"], 0)
    found = await in_own_process(starts.run, replace(talkative, token=token("nobody")))
    assert (found["count"], found["refused"] > 0, len(found["reasons"])) == (0, True, 1)
    with pytest.raises(LoadFailed, match="Refused: the stream ended"):
        await in_own_process(starts.run, replace(talkative, token=token("nobody"), is_resumed=True))


async def test_as_many_bytes_are_answered_by_the_bare_server_in_as_many_messages() -> None:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Bare(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    job = BareStartsJob(f"127.0.0.1:{port}", 100, [70, 40_000, 3], [0, 9], {"bare": os.getpid()}, 0.1, 0.0)
    found = await in_own_process(starts.run_bare, job)
    await server.stop(None)
    assert (found["frames"], found["answers"], found["request_bytes"]) == ([70, 40_000, 3], [0, 9], 100)
    assert (found["count"] > 0, found["refused"]) == (True, 0)
    assert 40_073 < found["received_bytes"] < 41_000
    assert found["cpu_seconds"].keys() == {"bare", "generator"}


async def test_apps_ask_for_what_a_session_of_the_client_asks_for() -> None:
    told, lobby = _told_at_first(), in_room(snapshot("NEW", 8, 8), message(8), caught_up(8))
    devices = Devices([told])
    async with (
        serve(devices) as address,
        connect(address, "t", clock=HastyClock()) as client,
        client.session(default_detail=ROOM_DETAIL_READ_STATE) as session,
    ):
        await session.caught_up()
        await session.follow("lobby", ROOM_DETAIL_EVENTS)
        devices.send(*lobby)
        await eventually(lambda: session.room("lobby").messages)
        devices.send(_CUT)
        await eventually(lambda: len(devices.requests) == 2)
    device = starts.Device()
    for event in (*told, *lobby):
        device.message(pb2.SubscribeResponse(events=[event]).SerializeToString())
    assert device.newest() == ["attic", "lobby"]
    first, again = devices.requests
    assert str(first) == str(starts.first_request())
    assert [str(update) for update in devices.updates] == [str(starts.follow_request("stream", "lobby"))]
    assert str(again) == str(starts.next_request(device, missed=0))


def _told_at_first() -> list[Event]:
    """Return what a session of two rooms is told of which only read states are sent."""
    events = [OPENED]
    for room_id, seq in (("lobby", 8), ("attic", 2)):
        last = message_pb2.Message(room_id=room_id, seq=seq)
        last.create_time.FromSeconds(seq)
        state = read_state_pb2.ReadState(room_id=room_id, unread_count=seq, last_message=last)
        opened = room_event_pb2.Opened(position=position(seq))
        told = (room_event_pb2.RoomEvent(opened=opened), room_event_pb2.RoomEvent(read_state=state), caught_up(seq))
        events += in_room(*told, room_id=room_id)
    rooms = [user_room(room_id, "alice", "bob") for room_id in ("attic", "lobby")]
    return [*events, user_opened(), *rooms, user_caught_up(7), CAUGHT_UP]
