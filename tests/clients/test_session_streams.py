"""What a session makes of streams that break off, begin anew, leave events out, or warn that their token ends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import grpc
import pytest
from google.protobuf import duration_pb2

from chatkit_client import Change, ChangeKind, ChatkitError, ConnectionStatus, Session, StreamPart, connect
from chatkit_client.proto.contract.v1 import stream_pb2
from chatkit_client.proto.messages.v1 import room_event_pb2
from tests.clients.scripted import HastyClock, caught_up, edited, message, position, resumed, snapshot
from tests.clients.scripted_devices import (
    CAUGHT_UP,
    EXPIRING,
    OPENED,
    Devices,
    Event,
    heartbeat,
    in_room,
    part_closed,
    presence,
    serve,
    user_caught_up,
    user_left,
    user_opened,
    user_room,
)
from tests.support.eventually import HANG_SECONDS, eventually
from tests.support.tokens import token as jwt

_NEW = in_room(snapshot("NEW", 2, 1), message(1), message(2), caught_up(2))
_START = [OPENED, *_NEW, CAUGHT_UP]


@asynccontextmanager
async def _following(devices: Devices, fetch: Any = "t", **options: Any) -> AsyncIterator[tuple[Session, list[Change]]]:
    changes: list[Change] = []
    async with (
        serve(devices) as address,
        connect(address, fetch, clock=HastyClock()) as client,
    ):
        session = client.session(**options)
        session.on_change(changes.append)
        async with session:
            await eventually(lambda: len(devices.requests) >= len(devices.streams) and session.connection.is_live)
            if CAUGHT_UP in devices.streams[-1]:
                await eventually(lambda: not session.connection.state.behind)
            yield session, changes


def _seqs(session: Session, room_id: str = "lobby") -> list[int]:
    return [message.seq for message in session.room(room_id).messages]


def _told(changes: list[Change]) -> list[tuple[str, int]]:
    return [(change.kind.value, change.seq) for change in changes if change.seq]


async def test_a_room_and_the_user_go_on_from_where_they_stand() -> None:
    first = [OPENED, *_NEW, user_opened(), user_room("lobby", "alice"), user_caught_up(7), CAUGHT_UP]
    devices = Devices([first, [OPENED, *in_room(resumed(3), message(3), caught_up(3)), CAUGHT_UP]])
    async with _following(devices) as (session, changes):
        await eventually(lambda: _seqs(session) == [1, 2, 3])
    (room,) = devices.requests[1].rooms
    assert (room.room_id, room.after, room.max_snapshot_messages) == ("lobby", position(2), 20)
    assert devices.requests[1].user.after.rooms_version == 7
    assert [seq for kind, seq in _told(changes) if kind == "message_created"] == [3]


async def test_messages_that_are_there_no_longer_when_a_stream_goes_on_are_told_as_gone() -> None:
    opened = room_event_pb2.Opened(position=position(2), outcome="OUTCOME_RESUMED", oldest_seq=2)
    again = [OPENED, *in_room(room_event_pb2.RoomEvent(opened=opened), caught_up(2)), CAUGHT_UP]
    async with _following(Devices([_START, again])) as (session, changes):
        await eventually(lambda: _seqs(session) == [2])
        assert ChangeKind.HISTORY_LOADED in [change.kind for change in changes]


async def test_a_snapshot_in_place_of_what_was_missed_begins_the_room_anew() -> None:
    anew = in_room(snapshot("TOO_FAR", 90, 80), message(80), edited(85, 80), message(90), caught_up(90))
    devices = Devices([_START, [OPENED, *anew, CAUGHT_UP]])
    async with _following(devices) as (session, changes):
        await eventually(lambda: _seqs(session) == [80, 90])
        assert session.room("lobby").has_older
        devices.send(*in_room(message(91)))
        await eventually(lambda: _seqs(session) == [80, 90, 91])
    assert _told(changes) == [("room_reset", 2), ("room_reset", 90), ("message_created", 91)]


async def test_a_snapshot_that_breaks_off_changes_nothing() -> None:
    half = in_room(snapshot("TOO_FAR", 90, 80), message(80))
    devices = Devices([_START, [OPENED, *half], [OPENED, *in_room(resumed(3), message(3), caught_up(3)), CAUGHT_UP]])
    async with _following(devices) as (session, _):
        await eventually(lambda: _seqs(session) == [1, 2, 3])
    assert devices.requests[2].rooms[0].after == position(2)


async def test_events_that_the_suite_leaves_out_are_asked_for_again_and_then_the_room_begins_anew() -> None:
    hole = [OPENED, *in_room(resumed(4), message(4))]
    devices = Devices([_START, hole, hole, _START])
    async with _following(devices) as (session, changes):
        await eventually(lambda: len(devices.requests) == 4)
        await eventually(lambda: _told(changes) == [("room_reset", 2), ("room_reset", 2)])
        assert _seqs(session) == [1, 2]
    assert [request.rooms[0].HasField("after") for request in devices.requests[1:]] == [True, True, False]


async def test_an_event_that_comes_twice_is_told_once() -> None:
    devices = Devices([_START])
    async with _following(devices) as (session, changes):
        devices.send(*in_room(message(3), message(3), message(4)))
        await eventually(lambda: _seqs(session) == [1, 2, 3, 4])
    assert [seq for kind, seq in _told(changes) if kind == "message_created"] == [3, 4]


async def test_an_edit_of_a_message_that_is_not_here_makes_no_hole_in_those_that_are() -> None:
    devices = Devices([[OPENED, *in_room(snapshot("NEW", 9, 9), message(9), caught_up(9)), CAUGHT_UP]])
    async with _following(devices) as (session, changes):
        devices.send(*in_room(edited(10, 4)))
        await eventually(lambda: ("message_changed", 10) in _told(changes))
        assert _seqs(session) == [9]


async def test_a_state_that_is_told_anew_takes_rooms_away_and_one_that_is_resumed_does_not() -> None:
    first = [
        OPENED,
        user_opened(),
        user_room("lobby", "alice"),
        user_room("attic", "alice"),
        user_caught_up(1),
        CAUGHT_UP,
    ]
    # It broke off, and nobody knows what the rest would have been.
    half = [OPENED, user_opened(), user_room("attic", "alice", "bob")]
    again = [OPENED, user_opened(resumed=True), user_caught_up(2), CAUGHT_UP]
    devices = Devices([first, half, again])
    async with _following(devices) as (session, changes):
        await eventually(lambda: not session.connection.state.behind)
        assert {room.id for room in session.rooms()} == {"lobby", "attic"}
        devices.send(user_opened(), user_room("attic", "alice", "bob"), user_caught_up(3))
        await eventually(lambda: [room.id for room in session.rooms()] == ["attic"])
        assert session.room("attic").member_ids == {"alice", "bob"}
    kinds = [(change.kind.value, change.room_id) for change in changes if change.room_id]
    assert kinds == [
        ("room_added", "lobby"),
        ("room_added", "attic"),
        ("room_changed", "attic"),
        ("room_removed", "lobby"),
    ]
    assert [request.user.after.rooms_version for request in devices.requests] == [0, 1, 1]


async def test_parts_are_behind_until_they_have_told_how_it_stands_and_while_nobody_can_tell() -> None:
    devices = Devices([[OPENED, heartbeat()]])
    async with _following(devices) as (session, _):
        assert session.connection.state.behind == set(StreamPart)
        devices.send(CAUGHT_UP)
        await session.caught_up()
        assert session.connection.state.behind == set()
        devices.send(heartbeat("SYNC_PART_USER", "SYNC_PART_PRESENCE"))
        await eventually(lambda: session.connection.state.behind == {StreamPart.USER, StreamPart.PRESENCE})
        devices.send(heartbeat())
        await eventually(lambda: not session.connection.state.behind)
        devices.send(user_opened())
        await eventually(lambda: session.connection.state.behind == {StreamPart.USER})
        devices.send(user_caught_up(1))
        await eventually(lambda: not session.connection.state.behind)
        assert session.connection.state.status is ConnectionStatus.LIVE


async def test_a_part_that_is_refused_is_told() -> None:
    devices = Devices([[OPENED, part_closed("SYNC_PART_PRESENCE", 5, "USER_NOT_FOUND"), CAUGHT_UP]])
    async with _following(devices) as (session, changes):
        await session.caught_up()
    (closed,) = [change for change in changes if change.kind is ChangeKind.PART_CLOSED]
    assert closed.error is not None
    assert (closed.part, closed.error.reason) == (StreamPart.PRESENCE, "USER_NOT_FOUND")


async def test_a_stream_whose_token_is_about_to_end_lives_on_by_another_one() -> None:
    tokens = iter(["first", "", "second", "third"])

    async def fetch() -> str:
        if fetched := next(tokens):
            return fetched
        raise OSError("no login")

    devices = Devices([_START])
    async with _following(devices, fetch):
        devices.send(EXPIRING)
        await eventually(lambda: devices.renewals == ["second"])
        devices.send(EXPIRING)
        await eventually(lambda: devices.renewals == ["second", "third"])
    assert len(devices.requests) == 1


async def test_a_stream_lives_by_each_token_that_is_fetched_though_it_was_not_warned() -> None:
    fetched: list[str] = []

    async def fetch() -> str:
        fetched.append(jwt(f"alice {len(fetched)}", ttl=timedelta(seconds=2)))
        return fetched[-1]

    devices = Devices([_START])
    async with serve(devices) as address, connect(address, fetch) as client, client.session() as session:
        await eventually(lambda: len(devices.renewals) >= 2)
        assert devices.renewals == fetched[1 : len(devices.renewals) + 1]
        assert session.connection.is_live
    assert len(devices.requests) == 1


async def test_what_is_wanted_before_the_stream_is_open_is_asked_for_when_it_is() -> None:
    devices = Devices([[]])
    async with (
        serve(devices) as address,
        connect(address, "t", clock=HastyClock()) as client,
        client.session() as session,
    ):
        await eventually(lambda: len(devices.requests) == 1)
        await session.follow("attic")
        await session.unfollow("cellar")
        assert not devices.updates
        devices.send(OPENED)
        await eventually(lambda: len(devices.updates) >= 2)
    assert devices.updates[0].follow_rooms[0].room_id == "attic"
    assert devices.updates[1].unfollow_room_ids == ["cellar"]


async def test_a_stream_that_can_not_be_changed_is_replaced_by_one_that_asks_for_it() -> None:
    devices = Devices([_START], lost=1)
    async with _following(devices) as (session, _):
        await session.follow("attic")
        await eventually(lambda: len(devices.requests) == 2)
    assert {room.room_id for room in devices.requests[1].rooms} == {"lobby", "attic"}


async def test_a_room_that_is_not_wanted_is_left_again_on_the_next_stream() -> None:
    devices = Devices([_START])
    async with _following(devices) as (session, _):
        await session.unfollow("lobby")
        devices.lost = 1
        await session.follow("attic")
        await eventually(lambda: len(devices.requests) == 2)
        await eventually(lambda: devices.updates[-1].unfollow_room_ids == ["lobby"])
    assert [room.room_id for room in devices.requests[1].rooms] == ["attic"]


async def test_wishes_are_said_in_their_order_also_where_one_has_to_be_repeated() -> None:
    devices = Devices([_START])
    async with _following(devices) as (session, _):
        devices.away = 1
        await asyncio.gather(session.unfollow("lobby"), session.follow("lobby"))
    assert [[room.room_id for room in update.follow_rooms] for update in devices.updates] == [[], ["lobby"]]


async def test_a_room_that_is_not_wanted_is_not_wanted_when_the_user_comes_back_to_it() -> None:
    away_and_back = [user_left("lobby"), user_room("lobby", "alice"), user_caught_up(1)]
    devices = Devices([[*_START, user_opened(), user_room("lobby", "alice"), *away_and_back], _START])
    async with serve(devices) as address, connect(address, "t", clock=HastyClock()) as client:
        session = client.session()
        await session.unfollow("lobby")
        async with session:
            await eventually(lambda: len(devices.requests) == 2 and len(devices.updates) == 2)
            assert _seqs(session) == []
    assert [list(update.unfollow_room_ids) for update in devices.updates] == [["lobby"]] * 2


async def test_what_nobody_thought_of_ends_the_session_and_says_so() -> None:
    closed = stream_pb2.StreamClosed(code=14, retry_after=duration_pb2.Duration(seconds=10**15))
    devices = Devices([_START])
    async with _following(devices) as (session, _):
        waiting = session.changes()
        devices.send(Event(closed=closed))
        (ending,) = [change async for change in waiting if change.kind is ChangeKind.CLOSED]
        assert ending.error is not None
        assert ending.error.code is grpc.StatusCode.INTERNAL
        assert session.connection.state.status is ConnectionStatus.CLOSED


async def test_what_still_comes_of_what_is_not_wanted_any_more_is_passed_over() -> None:
    devices = Devices([_START])
    async with _following(devices, watch=["bob", "carol"]) as (session, _):
        await session.unfollow("lobby")
        await session.unwatch(["bob"])
        devices.send(*in_room(message(3)), presence("bob"), presence("carol"))
        await eventually(lambda: session.presence("carol"))
        assert session.presence("bob") is None
        await session.follow("lobby")
        assert devices.updates[-1].follow_rooms[0].after == position(2)
        devices.send(*in_room(resumed(3), message(3), caught_up(3)))
        await eventually(lambda: _seqs(session) == [1, 2, 3])


async def test_typing_is_said_once_a_second() -> None:
    devices = Devices([_START])
    async with _following(devices) as (session, _):
        # This server knows nothing of messages.
        with pytest.raises(ChatkitError):
            await session.typing("lobby")
        await session.typing("lobby")


async def test_who_reads_no_changes_is_told_that_some_are_missing() -> None:
    devices = Devices([_START])
    async with _following(devices) as (session, _):
        changes = session.changes()
        devices.send(*(event for seq in range(3, 10_010) for event in in_room(message(seq))))
        await eventually(lambda: _seqs(session)[-1] == 10_009)
        async with asyncio.timeout(HANG_SECONDS):
            first = await anext(changes)
            assert first.kind is ChangeKind.MISSED
            assert (await anext(changes)).kind is ChangeKind.MESSAGE_CREATED
        assert len(_seqs(session)) == 200
        await changes.aclose()
