"""The client resumes many rooms from its own positions: on scripted streams, and over real services that die."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import psycopg
import pytest

from chatkit_client import ChatkitError, Gap, RoomsSubscription, connect
from chatkit_client.proto.contract.v1 import error_reason_pb2
from chatkit_client.proto.messages.v1 import room_event_pb2
from services.runtime.clock import Clock, SystemClock
from services.stack.machine.ports import Port
from tests.clients.scripted import (
    HANG,
    HastyClock,
    Script,
    caught_up,
    closed,
    cursor,
    edited,
    heartbeat,
    message,
    of,
    position,
    resumed,
    serve,
    snapshot,
    typing,
)
from tests.messages.chat import Chat, text
from tests.support import peers
from tests.support.clock import LeapingClock
from tests.support.databases import TestDatabase
from tests.support.eventually import HANG_SECONDS, eventually
from tests.support.own_process import own_process
from tests.support.peers import Peers
from tests.support.suite import running, settings
from tests.support.tokens import token

_OPENED, _CAUGHT_UP = of("", resumed(0), caught_up(0))
_A = of("a", snapshot("NEW", 2, 1), message(1), message(2), caught_up(2))
_B = of("b", snapshot("NEW", 7, 7), message(7), caught_up(7))
_START = [_OPENED, *_A, *_B, _CAUGHT_UP]
Seen = tuple[str, int | str] | Gap


async def _until(events: RoomsSubscription, *last: Seen) -> list[Seen]:
    """Return what comes until all of `last` have: rooms with seqs, rooms that close with why, gaps."""
    seen: list[Seen] = []
    async with asyncio.timeout(HANG_SECONDS):
        async for item in events:
            if isinstance(item, Gap):
                seen.append(item)
            elif item.HasField("closed"):
                reason = error_reason_pb2.ErrorReason.Name(item.closed.reason)
                seen.append((item.room_id, reason))
            elif item.seq:
                seen.append((item.room_id, item.seq))
            if all(one in seen for one in last):
                return seen
    raise AssertionError


def _of(seen: list[Seen], room_id: str) -> list[int | str | Gap]:
    """Return what came of a room."""
    alone: list[int | str | Gap] = []
    for one in seen:
        if isinstance(one, Gap):
            alone += [one] if one.room_id == room_id else []
        elif one[0] == room_id:
            alone.append(one[1])
    return alone


@pytest.mark.parametrize(
    "ending", ["SHUTTING_DOWN", "SLOW_CONSUMER", "LOG_RESET", grpc.StatusCode.UNAVAILABLE, closed("SLOW_CONSUMER", 0)]
)
async def test_each_room_resumes_from_its_own_position_after_any_ending_that_is_not_final(ending: Any) -> None:
    again = [_OPENED, *of("a", resumed(3), message(3), caught_up(3)), *of("b", resumed(8), message(8), caught_up(8))]
    start = [_OPENED, *_A, *of("b", resumed(7), message(7), caught_up(7)), _CAUGHT_UP]
    first = ([*start, ending], HANG) if isinstance(ending, room_event_pb2.RoomEvent) else (start, ending)
    script = Script([first, (again, HANG)])
    async with serve(script) as address, connect(address, "t", clock=HastyClock()) as client:
        events = client.subscribe_rooms({"a": 20, "b": position(6)}, default_last=5, include_cursors=True)
        assert await _until(events, ("b", 8)) == [("a", 1), ("a", 2), ("b", 7), ("a", 3), ("b", 8)]
        assert (events.streams, events.repeated, events.holes) == (2, 0, 0)
        # What is being processed is not yet processed.
        assert events.positions == {"a": position(3), "b": position(7)}
    begun, resumption = script.rooms_requests
    assert [(room.room_id, room.last, room.after) for room in begun.rooms] == [
        ("a", 20, position(0, "")),
        ("b", 0, position(6)),
    ]
    assert [(room.room_id, room.after) for room in resumption.rooms] == [("a", position(2)), ("b", position(7))]
    assert (resumption.default_last, resumption.include_cursors, resumption.follow_memberships) == (5, True, False)


@pytest.mark.parametrize("reason", ["REMOVED_FROM_ROOM", "ROOM_ACCESS_DENIED", "PERMISSION_MISSING", "QUOTA_EXCEEDED"])
async def test_a_room_that_closes_for_good_is_told_and_the_others_go_on_without_it(reason: str) -> None:
    script = Script(
        [
            ([*_START, *of("a", closed(reason, 2)), *of("b", message(8))], "SHUTTING_DOWN"),
            ([_OPENED, *of("b", resumed(9), message(9))], HANG),
        ]
    )
    async with serve(script) as address, connect(address, "t", clock=HastyClock()) as client:
        events = client.subscribe_rooms({"a": None, "b": None})
        seen = await _until(events, ("b", 9))
    assert seen[3:] == [("a", reason), ("b", 8), ("b", 9)]
    assert [room.room_id for room in script.rooms_requests[1].rooms] == ["b"]


async def test_a_room_that_closes_in_passing_is_resumed_and_so_are_the_others() -> None:
    clock = HastyClock()
    reset = ([*_START, *of("a", closed("LOG_RESET", 2)), *of("b", message(8))], HANG)
    other = of("a", snapshot("EPOCH", 1, 1, epoch="other"), message(1), caught_up(1))
    script = Script([*[reset] * 6, ([_OPENED, *other, *of("b", resumed(8), message(8))], HANG)])
    async with serve(script) as address, connect(address, "t", clock=clock) as client:
        seen = await _until(client.subscribe_rooms({"a": None, "b": None}), ("b", 8))
    assert seen[3:] == [Gap("EPOCH", position(2), position(1, "other"), "a"), ("a", 1), ("b", 8)]
    # The one that closes again and again is waited for longer each time, although the others bring events.
    assert max(slept for slept in clock.slept if slept < 10) > 2


async def test_what_a_room_lacks_is_read_from_its_log_and_the_rest_are_gaps_of_that_room() -> None:
    far = of("a", snapshot("TOO_FAR", 8, 8), message(8), caught_up(8))
    gone = of("b", snapshot("RETENTION", 9, 9, oldest_seq=9), message(9), caught_up(9))
    left_out = of("b", message(11))
    script = Script(
        [
            (_START, grpc.StatusCode.UNAVAILABLE),
            ([_OPENED, *far, *gone, *left_out], HANG),
            ([_OPENED, *of("a", resumed(8)), *of("b", resumed(11), message(10), message(11))], HANG),
        ],
        events=[*of("a", message(3), edited(4, 1), message(7), message(8)), *of("b", message(9))],
    )
    async with serve(script) as address, connect(address, "t", clock=HastyClock()) as client:
        events = client.subscribe_rooms({"a": None, "b": None})
        seen = await _until(events, ("b", 11))
        assert (events.holes, events.repeated) == (1, 0)
    assert seen[3:] == [
        *[("a", 3), ("a", 4), Gap("TOO_FAR", position(4), position(7), "a"), ("a", 7), ("a", 8)],
        *[Gap("RETENTION", position(7), position(9), "b"), ("b", 9), ("b", 10), ("b", 11)],
    ]


async def test_what_is_not_of_the_log_passes_through_but_for_heartbeats() -> None:
    beats = [*of("a", heartbeat(2)), *of("", heartbeat(0))]
    script = Script([([*_START, *of("a", cursor(1, 1), typing()), *beats, *of("a", message(3))], HANG)])
    async with serve(script) as address, connect(address, "t", clock=HastyClock()) as client:
        kinds: list[tuple[str, str | None]] = []
        async with client.subscribe_rooms({"a": None, "b": None}) as events, asyncio.timeout(HANG_SECONDS):
            async for item in events:
                assert not isinstance(item, Gap)
                kinds.append((item.room_id, item.WhichOneof("event")))
                if item.seq == 3:
                    break
    assert (kinds[0], kinds[-5]) == (("", "opened"), ("b", "caught_up"))
    assert kinds[-4:] == [("", "caught_up"), ("a", "cursor_set"), ("a", "typing"), ("a", "message_created")]


async def test_an_expired_token_is_fetched_again_and_one_that_was_given_ends_the_stream() -> None:
    tokens = iter(["first", "second"])

    async def fetch() -> str:
        return next(tokens)

    again = [_OPENED, *of("a", resumed(3), message(3)), *of("b", resumed(7))]
    script = Script([([*_START, *of("", closed("TOKEN_EXPIRED", 0))], HANG), (again, HANG)])
    async with serve(script) as address, connect(address, fetch, clock=HastyClock()) as client:
        await _until(client.subscribe_rooms({"a": None, "b": None}), ("a", 3))
        assert script.tokens == ["first", "second"]
        script.tokens.clear()
        with pytest.raises(ChatkitError, match="TOKEN_EXPIRED"):
            await _until(client.with_token("t").subscribe_rooms({"a": None, "b": None}), ("a", 3))


# Over real servers.


@asynccontextmanager
async def _chat(database: TestDatabase, folder: Path, clock: Clock) -> AsyncIterator[Chat]:
    members = {room_id: {"alice", "bob"} for room_id in ("a", "b", "c")}
    told = Peers(members=members, users={"alice", "bob"}, clock=clock)
    async with peers.serve(told):
        addresses: dict[str, Any] = {"rooms_address": told.address, "users_address": told.address}
        async with running(database, folder, "messages", clock=clock, **addresses) as suite:
            yield Chat(suite, told)


async def test_nothing_is_lost_or_doubled_when_the_service_is_killed_and_rooms_are_joined_and_left_meanwhile(
    database: TestDatabase, tmp_path: Path
) -> None:
    port = Port("127.0.0.1")
    async with _chat(database, tmp_path, SystemClock()) as chat:
        address = chat.peers.address
        told = settings(
            database, tmp_path, "messages", rooms_address=address, users_address=address, listen=port.address
        )
        command, log = (sys.executable, "-m", "services.messages", "serve"), tmp_path / "mortal.log"
        await chat.send_many(3, room_id="a")
        await chat.send_many(1, "first", "c")
        async with connect(port.address, token("bob")) as client:
            events = client.subscribe_rooms({"a": None}, follow_memberships=True)
            async with own_process(command, told, log) as process:
                assert _of(await _until(events, ("a", 3), ("c", 1)), "a") == [1, 2, 3]
                chat.peers.remove("c", "bob")
                await _until(events, ("c", "REMOVED_FROM_ROOM"))
                process.kill()
                await process.wait()
            # Another replica goes on, which the client does not know.
            await chat.send_many(130, "more", "a")
            await chat.send_many(2, room_id="c")
            chat.peers.remove("b", "bob")
            chat.peers.add("c", "bob")
            for user_id in ("alice", "bob"):
                chat.peers.add("d", user_id)
            await chat.send_many(2, room_id="d")
            async with own_process(command, told, log):
                seen = await _until(events, ("a", 133), ("b", "ROOM_ACCESS_DENIED"), ("c", 3), ("d", 2))
                await chat.send(text("live", "live", "d"))
                assert await _until(events, ("d", 3)) == [("d", 3)]
            await asyncio.to_thread(port.release)
        # More than a stream replays, so it was read from the log.
        assert _of(seen, "a") == list(range(4, 134))
        # It was joined again, and goes on where it was left.
        assert _of(seen, "c") == [2, 3]
        assert _of(seen, "d") == [1, 2]
        assert _of(seen, "b") == ["ROOM_ACCESS_DENIED"]
        assert (events.holes, events.repeated) == (0, 0)


async def test_another_epoch_and_an_expired_token_are_gone_through(database: TestDatabase, tmp_path: Path) -> None:
    clock = LeapingClock()
    fetched: list[timedelta] = []

    async def fetch() -> str:
        fetched.append(timedelta(minutes=10) if not fetched else timedelta(hours=1))
        return token("bob", ttl=fetched[-1])

    async with (
        _chat(database, tmp_path, clock) as chat,
        connect(chat.suite.servers["messages"].address, fetch) as client,
        client.subscribe_rooms({"a": None, "b": None}) as events,
    ):
        await chat.send_many(2, room_id="a")
        await _until(events, ("a", 2))
        waiting = asyncio.create_task(_until(events, ("b", 1)))
        clock.leap(660)
        await eventually(lambda: events.streams == 2)
        await chat.send_many(1, room_id="b")
        assert await waiting == [("b", 1)]
        with psycopg.connect(chat.suite.database.superuser_dsn) as connection:
            connection.execute("UPDATE messages.deployment SET epoch = %s", (uuid4(),))
        before = events.positions
        first, *rest = await _until(events, ("b", 1))
        assert isinstance(first, Gap)
        assert (first.reason, first.after, first.room_id) == ("EPOCH", before["a"], "a")
        assert rest[:2] == [("a", 1), ("a", 2)]
    assert len(fetched) == 2
