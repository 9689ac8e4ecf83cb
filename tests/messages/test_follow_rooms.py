"""Several rooms on one stream: each is opened, resumed and closed for itself."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import grpc
import psycopg
import pytest
from chatkit.contract.v1 import error_reason_pb2
from chatkit.messages.v1 import messages_service_pb2 as pb2
from chatkit.messages.v1 import position_pb2, room_event_pb2
from chatkit.messages.v1 import read_states_service_pb2 as read_states_pb2
from chatkit.messages.v1.messages_service_pb2_grpc import MessagesServiceStub

from services.messages.fanout.hub import RoomHub
from services.messages.fanout.replays import Replays, StreamStart
from services.messages.model import Start
from services.runtime.clock import Clock, SystemClock
from services.runtime.steps import MOST_AT_ONCE
from tests.messages.chat import Chat, Reader, in_room, text
from tests.support.clock import LeapingClock
from tests.support.databases import TestDatabase
from tests.support.eventually import HANG_SECONDS, eventually
from tests.support.peers import Peers, serve, uid_of
from tests.support.refusals import refused
from tests.support.statements import noting_statements
from tests.support.suite import running
from tests.support.tokens import Metadata, bearer, lasting, su, token, user
from tests.support.turns import Turns

Events = Iterable[room_event_pb2.RoomEvent]


def _told(events: Events) -> dict[str, list[str]]:
    """Return the kinds of events of each room, in order; those of the stream have no room."""
    kinds = defaultdict(list)
    for event in events:
        kinds[event.room_id].append(event.WhichOneof("event") or "")
    return dict(kinds)


def _reasons(events: Events) -> dict[str, str]:
    """Return why rooms were closed."""
    name = error_reason_pb2.ErrorReason.Name
    return {event.room_id: name(event.closed.reason) for event in events if event.HasField("closed")}


def _positions(events: Events) -> dict[str, position_pb2.Position]:
    """Return each room's position as a client keeps it: the epoch it was opened with, and the last seq it has read."""
    kept: dict[str, position_pb2.Position] = {}
    for event in events:
        if event.HasField("opened") and event.room_id:
            kept[event.room_id] = position_pb2.Position(epoch=event.opened.position.epoch)
        if event.room_id in kept:
            kept[event.room_id].seq = max(kept[event.room_id].seq, event.seq, event.caught_up.seq)
    return kept


def _seqs(events: Events, room_id: str) -> list[int]:
    return [event.seq for event in events if event.room_id == room_id and event.seq]


@pytest.fixture
def chat(chat: Chat) -> Chat:
    """Let bob be in the rooms one, two and three."""
    for room_id in ("one", "two", "three"):
        chat.peers.members[room_id] = {"alice", "bob"}
    return chat


@asynccontextmanager
async def _chat(
    database: TestDatabase, folder: Path, *, clock: Clock | None = None, **changes: Any
) -> AsyncIterator[Chat]:
    """Run the service with other settings, or on another clock."""
    clock = clock or SystemClock()
    peers = Peers(members={"one": {"alice", "bob"}, "two": {"alice", "bob"}}, users={"alice", "bob"}, clock=clock)
    async with serve(peers):
        changes |= {"rooms_address": peers.address, "users_address": peers.address}
        async with running(database, folder, "messages", clock=clock, **changes) as suite:
            yield Chat(suite, peers)


async def test_each_room_is_opened_for_itself_and_the_stream_says_when_all_have_answered(chat: Chat) -> None:
    await chat.send_many(30, room_id="one")
    await chat.send_many(3, room_id="two")
    async with chat.following("one", in_room("two", last=2), "three") as reader:
        events = await reader.until_room("", "caught_up")
        assert events[0].room_id == ""
        assert events[0].HasField("opened")
        assert _told(events) == {
            "": ["opened", "caught_up"],
            "one": ["opened", *["message_created"] * 20, "caught_up"],
            "two": ["opened", *["message_created"] * 2, "caught_up"],
            "three": ["opened", "caught_up"],
        }
        assert (_seqs(events, "one"), _seqs(events, "two")) == (list(range(11, 31)), [2, 3])
        for number, room_id in enumerate(("three", "one", "three", "two")):
            sent = await chat.send(text("live", f"live {number}", room_id))
            event = await reader.next()
            assert (event.room_id, event.seq) == (room_id, sent.seq)


async def test_a_room_that_may_not_be_read_is_closed_and_the_others_go_on(chat: Chat) -> None:
    chat.peers.members["alices"] = {"alice"}
    chat.peers.denied_in["bob", "three"] = {"room:messages:get"}
    async with chat.following("one", "alices", "unknown", "three", "two") as reader:
        events = await reader.until_room("", "caught_up")
        told = _told(events)
        assert told["one"] == told["two"] == ["opened", "caught_up"]
        assert told["alices"] == told["unknown"] == told["three"] == ["closed"]
        denied = "ROOM_ACCESS_DENIED"
        assert _reasons(events) == {"alices": denied, "unknown": denied, "three": "PERMISSION_MISSING"}
        assert not any(event.closed.HasField("position") for event in events)
        await chat.send(text("x", "1", "two"))
        assert (await reader.next()).room_id == "two"


async def test_each_room_resumes_from_its_own_position(chat: Chat) -> None:
    for room_id in ("one", "two"):
        await chat.send_many(3, room_id=room_id)
    async with chat.following("one", "two", "three", last=0) as reader:
        at = _positions(await reader.until_room("", "caught_up"))
    await chat.send_many(5, "more", "one")
    await chat.send_many(150, "many", "three")
    at["two"].epoch = "another"
    async with chat.following(*(in_room(room_id, after=position) for room_id, position in at.items())) as reader:
        events = await reader.until_room("", "caught_up")
    opened = {event.room_id: event.opened for event in events if event.HasField("opened")}
    assert opened["one"].outcome == room_event_pb2.OUTCOME_RESUMED
    assert _seqs(events, "one") == [4, 5, 6, 7, 8]
    assert opened["two"].reason == room_event_pb2.SNAPSHOT_REASON_EPOCH
    assert _seqs(events, "two") == [1, 2, 3]
    assert opened["three"].reason == room_event_pb2.SNAPSHOT_REASON_TOO_FAR
    assert _seqs(events, "three") == list(range(51, 151))
    async with chat.following(in_room("three", after=at["three"], most=7), in_room("two", after=at["two"])) as reader:
        events = await reader.until_room("", "caught_up")
    assert _seqs(events, "three") == list(range(144, 151))
    assert _seqs(events, "two") == [1, 2, 3]


async def test_a_room_that_is_left_is_closed_and_the_others_go_on(chat: Chat) -> None:
    await chat.send_many(2, room_id="one")
    async with chat.following("one", "two") as reader:
        await reader.until_room("", "caught_up")
        chat.peers.remove("one", "bob")
        (event,) = await reader.until("closed")
        assert (_reasons([event]), event.closed.position.seq) == ({"one": "REMOVED_FROM_ROOM"}, 2)
        await chat.send(text("x", "not for bob", "one"))
        await chat.send(text("x", "for bob", "two"))
        assert (await reader.next()).room_id == "two"
        # Without follow_memberships nothing is opened again.
        chat.peers.add("one", "bob")
        await chat.send(text("x", "again", "two"))
        assert (await reader.next()).room_id == "two"


@pytest.mark.parametrize("is_older", [False, True], ids=["rooms", "rooms of the release before"])
async def test_rooms_that_the_user_joins_are_opened_and_those_left_are_closed_again_and_again(
    chat: Chat, is_older: bool
) -> None:
    chat.peers.is_without_room_ids = is_older
    await chat.send_many(3, room_id="one")
    async with chat.following(in_room("one", last=1), last=2, memberships=True) as reader:
        events = await reader.until_room("", "caught_up")
        assert set(_told(events)) == {"", "one", "two", "three", "lobby"}
        assert _seqs(events, "one") == [3]
        listed = chat.peers.listed
        for count in range(3):
            chat.peers.remove("one", "bob")
            assert _reasons(await reader.until("closed")) == {"one": "REMOVED_FROM_ROOM"}
            await chat.send(text("x", f"{count}", "one"))
            chat.peers.add("one", "bob")
            events = await reader.until_room("one", "caught_up")
            assert _told(events) == {"one": ["opened", "message_created", "message_created", "caught_up"]}
            assert _seqs(events, "one") == [3 + count, 4 + count]
        chat.peers.add("four", "bob")
        assert _told(await reader.until_room("four", "caught_up")) == {"four": ["opened", "caught_up"]}
        # Nobody lists the user's rooms to learn what the change has told.
        assert chat.peers.listed == listed + (4 if is_older else 0)


@pytest.mark.parametrize("metadata", [lasting("bob"), lasting(None, su=True)], ids=["user", "superuser"])
async def test_a_room_that_was_left_again_before_it_was_opened_is_not_told_of(chat: Chat, metadata: Metadata) -> None:
    request = pb2.SubscribeRoomsRequest(user_id="bob", follow_memberships=True)
    call = chat.suite.messages.SubscribeRooms(request, metadata=metadata)
    reader = Reader(call)
    await reader.until_room("", "caught_up")
    chat.peers.add("four", "bob")
    chat.peers.remove("four", "bob")
    chat.peers.add("five", "bob")
    assert _told(await reader.until_room("five", "caught_up")) == {"five": ["opened", "caught_up"]}
    call.cancel()


async def test_a_room_that_was_refused_is_not_told_of_again_when_another_is_joined(chat: Chat) -> None:
    chat.peers.denied_in["bob", "one"] = {"room:messages:get"}
    async with chat.following("one", memberships=True) as reader:
        events = await reader.until_room("", "caught_up")
        assert _told(events)["one"] == ["closed"]
        chat.peers.add("four", "bob")
        assert _told(await reader.until_room("four", "caught_up")) == {"four": ["opened", "caught_up"]}


async def test_lost_changes_of_memberships_are_made_up_for(chat: Chat) -> None:
    async with chat.following(memberships=True) as reader:
        await reader.until_room("", "caught_up")
        chat.peers.members["four"] = {"bob"}
        chat.peers.members["one"].discard("bob")
        chat.peers.reset()
        seen = [await reader.next() for _ in range(3)]
        assert _told(seen) == {"four": ["opened", "caught_up"], "one": ["closed"]}
        assert _reasons(seen) == {"one": "REMOVED_FROM_ROOM"}


async def test_a_doubt_about_one_room_holds_that_room_and_no_other(chat: Chat) -> None:
    for room_id in ("one", "two"):
        # So that alice need not be asked about while rooms keeps its answers back.
        await chat.send(text("x", "first", room_id))
    async with chat.following("one", "two") as reader:
        await reader.until_room("", "caught_up")
        hold = chat.peers.hold = asyncio.Event()
        asked = len(chat.peers.batches)
        chat.peers.assign("bob", (2, "reader"), room_id="one")
        await eventually(lambda: len(chat.peers.batches) > asked)
        for number in range(3):
            await chat.send(text("held", f"held {number}", "one"))
        await chat.send(text("x", "1", "two"))
        assert (await reader.next()).room_id == "two"
        hold.set()
        events = [await reader.next() for _ in range(3)]
        assert _seqs(events, "one") == [2, 3, 4]
        # It was asked about one room.
        assert chat.peers.batches[asked:] == [1]


async def test_a_permission_that_is_lost_in_one_room_closes_that_room(chat: Chat) -> None:
    async with chat.following("one", "two") as reader:
        await reader.until_room("", "caught_up")
        chat.peers.denied_in["bob", "one"] = {"room:messages:get"}
        chat.peers.assign("bob", (2, "writer"), room_id="one")
        assert _reasons(await reader.until("closed")) == {"one": "PERMISSION_MISSING"}
        await chat.send(text("x", "1", "two"))
        assert (await reader.next()).room_id == "two"


async def test_a_superuser_follows_any_room_for_a_user_and_must_name_one(chat: Chat) -> None:
    rooms = [in_room("one"), in_room("unknown")]
    request = pb2.SubscribeRoomsRequest(user_id="carol", rooms=rooms)
    call = chat.suite.messages.SubscribeRooms(request, metadata=su())
    events = await Reader(call).until_room("", "caught_up")
    assert _told(events)["one"] == ["opened", "caught_up"]
    assert _reasons(events) == {"unknown": "ROOM_NOT_FOUND"}
    call.cancel()
    nobody = chat.suite.messages.SubscribeRooms(pb2.SubscribeRoomsRequest(rooms=rooms), metadata=su())
    await refused(nobody.read(), "SUBJECT_REQUIRED")


async def test_a_room_is_named_once_and_not_too_many_are(chat: Chat) -> None:
    async with chat.following("one", "one") as reader:
        assert (await refused(reader.next(), "FIELD_INVALID")).metadata == {"field": "rooms"}
    async with chat.following(*(f"{number}" for number in range(1_001))) as reader:
        assert (await refused(reader.next(), "LIMIT_EXCEEDED")).metadata["limit"] == "ROOMS_PER_SUBSCRIPTION"


async def test_a_thousand_rooms_are_opened_and_resumed_in_a_bounded_number_of_statements(chat: Chat) -> None:
    names = [f"room {number:03}" for number in range(996)]
    chat.peers.members |= {name: {"alice", "bob"} for name in names}
    await chat.send_many(30, room_id=names[7])
    with _statements(chat) as statements:
        async with chat.following(memberships=True) as reader:
            events = await reader.until_room("", "caught_up")
        assert {event.room_id for event in events if event.HasField("opened")} == {
            "",
            "lobby",
            "one",
            "two",
            "three",
        } | {*names}
        assert _seqs(events, names[7]) == list(range(11, 31))
        # Twenty pages of fifty rooms.
        assert len(statements) == 20
        assert len(chat.peers.batches) == 20
        statements.clear()
        at = {room_id: position for room_id, position in _positions(events).items() if room_id != "lobby"}
        at[names[7]].seq = 5
        at[names[8]].seq = 10
        async with chat.following(*(in_room(room_id, after=where) for room_id, where in at.items())) as reader:
            events = await reader.until_room("", "caught_up")
        outcomes = [event.opened.outcome for event in events if event.HasField("opened") and event.room_id]
        assert outcomes.count(room_event_pb2.OUTCOME_RESUMED) == 998
        assert _seqs(events, names[7]) == list(range(6, 31))
        assert 20 <= len(statements) <= 2 * 20


async def test_streams_that_a_user_opens_at_once_open_one_after_the_other_and_in_small_steps(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    rooms = [f"r{number:03}" for number in range(200)]
    for room_id in rooms:
        chat.peers.members[room_id] = {"alice", "bob"}
    begun: list[str] = []
    beginning = Replays.beginning

    def noted(replays: Replays, hub: RoomHub, start: Start, now: datetime) -> StreamStart:
        turns.note()
        begun.append(hub.room_id)
        return beginning(replays, hub, start, now)

    read_page, others_have_come = Replays.read_page, asyncio.Event()

    async def held(replays: Replays, page: Sequence[tuple[RoomHub, Start]]) -> None:
        if not held_once:
            held_once.append(page)
            await others_have_come.wait()
        others_have_come.set()
        await read_page(replays, page)

    held_once: list[object] = []
    monkeypatch.setattr(Replays, "beginning", noted)
    # One page of the first user's is in hand when those of the other one come.
    monkeypatch.setattr(Replays, "read_page", held)
    async with AsyncExitStack() as stack, Turns() as turns:
        many = [await stack.enter_async_context(chat.following(*rooms)) for _ in range(4)]
        few = await stack.enter_async_context(chat.following("one", "two", who="alice"))
        await few.until_room("", "caught_up")
        for reader in many:
            await reader.until_room("", "caught_up")
    assert turns.noted == 4 * len(rooms) + 2
    assert turns.most <= MOST_AT_ONCE // 10
    assert begun.index("two") <= 4 * 50


async def test_rooms_beyond_the_limit_are_closed_and_a_room_that_is_left_makes_place(
    database: TestDatabase, tmp_path: Path
) -> None:
    async with _chat(database, tmp_path, limit_overrides={"ROOMS_PER_SUBSCRIPTION": 2}) as chat:
        chat.peers.members["zoo"] = {"bob"}
        async with chat.following(memberships=True) as reader:
            events = await reader.until_room("", "caught_up")
            assert _reasons(events) == {"zoo": "QUOTA_EXCEEDED"}
            chat.peers.remove("one", "bob")
            await reader.until("closed")
            chat.peers.add("two more", "bob")
            assert _told(await reader.until("caught_up")) == {"two more": ["opened", "caught_up"]}


async def test_two_replicas_give_each_room_whole_and_once_over_cuts_and_resumes(
    database: TestDatabase, tmp_path: Path
) -> None:
    rooms = ("one", "two", "three")
    peers = Peers(members={room_id: {"alice", "bob"} for room_id in rooms}, users={"alice", "bob"})
    random = Random(5)
    async with serve(peers):
        # No bus at all: what the other one appends is found in the database.
        addresses: dict[str, Any] = {"rooms_address": peers.address, "users_address": peers.address}
        async with running(database, tmp_path, "messages", **addresses) as suite:
            first = suite.messages
            await suite.start("messages", **addresses)
            replicas = [first, suite.messages]

            async def write(stub: Any, prefix: str) -> None:
                for number in range(30):
                    for room_id in rooms:
                        await stub.SendMessage(text("x", f"{prefix}{number}", room_id), metadata=user("alice"))

            at = await _start(replicas[0], rooms)
            seen: dict[str, list[int]] = {room_id: [] for room_id in rooms}
            async with asyncio.TaskGroup() as group:
                for number, stub in enumerate(replicas):
                    group.create_task(write(stub, f"{number} "))
                while any(len(seqs) < 60 for seqs in seen.values()):
                    request = pb2.SubscribeRoomsRequest(
                        rooms=[in_room(room_id, after=at[room_id]) for room_id in rooms]
                    )
                    call = random.choice(replicas).SubscribeRooms(request, metadata=user("bob"))
                    reader = Reader(call)
                    await reader.until_room("", "opened")
                    for _ in range(random.randint(6, 40)):
                        event = await reader.next()
                        assert not event.HasField("opened") or event.opened.outcome == room_event_pb2.OUTCOME_RESUMED
                        if event.seq:
                            seen[event.room_id].append(event.seq)
                            at[event.room_id].seq = event.seq
                        if all(len(seqs) == 60 for seqs in seen.values()):
                            break
                    call.cancel()
            assert seen == {room_id: list(range(1, 61)) for room_id in rooms}


async def _start(stub: Any, room_ids: Iterable[str]) -> dict[str, position_pb2.Position]:
    request = pb2.SubscribeRoomsRequest(rooms=[in_room(room_id) for room_id in room_ids])
    call = stub.SubscribeRooms(request, metadata=user("bob"))
    positions = _positions(await Reader(call).until_room("", "caught_up"))
    call.cancel()
    return positions


def _statements(chat: Chat) -> AbstractContextManager[list[str]]:
    """Write down the statements that open rooms."""
    return noting_statements(_opens_rooms, chat.suite.servers["messages"].database)


def _opens_rooms(statement: str) -> bool:
    return ("unnest" in statement and "AS known" not in statement) or "oldest_seq > " in statement


# What is about the stream.


async def test_heartbeats_name_the_rooms_that_have_moved_and_then_the_stream(
    database: TestDatabase, tmp_path: Path
) -> None:
    clock, interval = LeapingClock(), 900.0
    # The leaps are longer than rooms may be silent: no stream ends by that before it is heard again.
    settings = {"heartbeat_interval_seconds": interval, "access_ending_spread_seconds": 1e9}
    async with _chat(database, tmp_path, clock=clock, **settings) as chat, chat.following("one", "two") as reader:
        await reader.until_room("", "caught_up")
        clock.leap(interval)
        assert _told(await reader.until("heartbeat")) == {"": ["heartbeat"]}
        await chat.send_many(2, room_id="two")
        clock.leap(interval)
        events = await reader.until_room("", "heartbeat")
        beats = [(event.room_id, event.heartbeat.head_seq) for event in events if event.HasField("heartbeat")]
        assert beats == [("two", 2), ("", 0)]
        clock.leap(interval)
        assert _told(await reader.until("heartbeat")) == {"": ["heartbeat"]}


async def test_a_stream_ends_with_its_token_and_all_its_rooms(database: TestDatabase, tmp_path: Path) -> None:
    clock = LeapingClock()
    metadata = bearer(token("bob", ttl=timedelta(minutes=10)))
    running_chat = _chat(database, tmp_path, clock=clock)
    async with running_chat as chat, chat.following("one", "two", metadata=metadata) as reader:
        await reader.until_room("", "caught_up")
        clock.leap(660)
        (event,) = await reader.until("closed")
        assert _reasons([event]) == {"": "TOKEN_EXPIRED"}
        await refused(reader.next(), "TOKEN_EXPIRED")


async def test_a_drain_ends_streams_also_those_that_have_no_room(database: TestDatabase, tmp_path: Path) -> None:
    async with (
        _chat(database, tmp_path) as chat,
        chat.following("one", "two") as reader,
        chat.following(memberships=True, who="nobody") as alone,
    ):
        await reader.until_room("", "caught_up")
        assert _told(await alone.until_room("", "caught_up")) == {"": ["opened", "caught_up"]}
        await chat.suite.stop("messages")
        for stream in (reader, alone):
            (event,) = await stream.until("closed")
            assert _reasons([event]) == {"": "SHUTTING_DOWN"}
            assert event.closed.retry_after.ToMilliseconds() > 0
            await refused(stream.next(), "SHUTTING_DOWN")


async def test_another_epoch_ends_the_whole_stream(chat: Chat) -> None:
    async with chat.following("one", "two") as reader:
        await reader.until_room("", "caught_up")
        with psycopg.connect(chat.suite.database.superuser_dsn) as connection:
            connection.execute("UPDATE messages.deployment SET epoch = %s", (uuid4(),))
        (event,) = await reader.until("closed")
        assert _reasons([event]) == {"": "LOG_RESET"}
        await refused(reader.next(), "LOG_RESET")


async def test_a_log_with_a_hole_closes_its_room_and_no_other(chat: Chat) -> None:
    await chat.send_many(3, room_id="one")
    async with chat.following("one", "two") as reader:
        await reader.until_room("", "caught_up")
        with psycopg.connect(chat.suite.database.superuser_dsn) as connection:
            connection.execute("UPDATE messages.heads SET seq = 5 WHERE room_uid = %s", (uid_of("one"),))
        (event,) = await reader.until("closed")
        assert (_reasons([event]), event.closed.position.seq) == ({"one": "LOG_RESET"}, 3)
        await chat.send(text("x", "1", "two"))
        assert (await reader.next()).room_id == "two"


async def test_rooms_that_is_away_ends_a_stream_that_opens(chat: Chat) -> None:
    chat.peers.unavailable = True
    async with chat.following("one") as reader:
        (*_, event) = await reader.until("closed")
        assert _reasons([event]) == {"": "DATABASE_UNAVAILABLE"}


async def test_a_room_joined_while_rooms_is_away_is_opened_when_it_is_back(chat: Chat) -> None:
    # So that alice need not be asked about later.
    await chat.send(text("x", "first", "one"))
    async with chat.following(memberships=True) as reader:
        await reader.until_room("", "caught_up")
        chat.peers.unavailable = True
        batches = len(chat.peers.batches)
        chat.peers.add("four", "bob")
        await eventually(lambda: len(chat.peers.batches) > batches)
        await chat.send_many(1, room_id="one")
        assert (await reader.next()).room_id == "one"
        chat.peers.unavailable = False
        assert _told(await reader.until_room("four", "caught_up")) == {"four": ["opened", "caught_up"]}


async def test_a_reader_who_stops_loses_the_whole_stream_and_others_go_on(chat: Chat) -> None:
    # A connection of its own, because a stream that is not read holds up what else is there; and one that does not
    # grow its window until everything fits.
    options = (("grpc.use_local_subchannel_pool", 1), ("grpc.http2.bdp_probe", 0))
    alone = grpc.aio.insecure_channel(chat.suite.servers["messages"].address, options=options)
    request = pb2.SubscribeRoomsRequest(rooms=[in_room("one"), in_room("two")])
    stopped = Reader(MessagesServiceStub(alone).SubscribeRooms(request, metadata=user("bob")))
    async with alone, chat.following("one", "two", who="alice") as other:
        seen = await stopped.until_room("", "caught_up")
        await other.until_room("", "caught_up")
        for burst in range(16):
            content = "x" * 5_000
            sends = [text(content, f"{burst}-{n}", room) for n in range(25) for room in ("one", "two")]
            await asyncio.gather(*map(chat.send, sends))
        read = await other.until_room("one", "message_created")
        while len(_seqs(read, "one")) < 400 or len(_seqs(read, "two")) < 400:
            read.append(await other.next())
        assert _seqs(read, "one") == _seqs(read, "two") == list(range(1, 401))
        async with asyncio.timeout(HANG_SECONDS):
            seen += await stopped.until("closed")
        assert _reasons(seen) == {"": "SLOW_CONSUMER"}
        await refused(stopped.next(), "SLOW_CONSUMER")
    # Each room resumes from what was read of it.
    at = _positions(seen)
    own = {room_id: len(_seqs(seen, room_id)) for room_id in ("one", "two")}
    assert all(position.seq == own[room_id] < 400 for room_id, position in at.items())


# Beside the log.


async def _until_read_state(reader: Reader, room_id: str, unread: int) -> list[room_event_pb2.RoomEvent]:
    seen = [await reader.next()]
    while (seen[-1].room_id, seen[-1].HasField("read_state")) != (room_id, True) or (
        seen[-1].read_state.unread_count != unread
    ):
        seen.append(await reader.next())
    return seen


async def test_read_states_are_told_with_each_room_and_when_they_change_and_coalesced(chat: Chat) -> None:
    await chat.send_many(3, room_id="one")
    async with chat.following("one", "two", last=0, read_states=True) as reader:
        events = await reader.until_room("", "caught_up")
        assert _told(events)["one"] == _told(events)["two"] == ["opened", "read_state", "caught_up"]
        states = {event.room_id: event.read_state for event in events if event.HasField("read_state")}
        assert (states["one"].unread_count, states["one"].last_message.seq) == (3, 3)
        assert (states["two"].unread_count, states["two"].HasField("last_message")) == (0, False)
        await chat.send_many(20, "more", "two")
        events = await _until_read_state(reader, "two", 20)
        # Twenty sends take far less than a second each.
        assert len(_seqs(events, "two")) == 20
        assert sum(event.HasField("read_state") for event in events) < 20
        move = read_states_pb2.SetReadCursorRequest(room_id="two", seq=15)
        await chat.suite.read_states.SetReadCursor(move, metadata=user("bob"))
        (event,) = await _until_read_state(reader, "two", 5)
        assert event.read_state.cursor.seq == 15
        # Somebody else's cursor changes nothing of bob's.
        await chat.suite.read_states.SetReadCursor(move, metadata=user("alice"))
        await chat.send(text("x", "last", "one"))
        events = await _until_read_state(reader, "one", 4)
        assert set(_told(events)) == {"one"}


async def test_a_move_of_ones_own_cursor_that_nobody_told_is_found_in_the_database(chat: Chat) -> None:
    await chat.send_many(3, room_id="one")
    async with chat.following("one", last=0, read_states=True) as reader:
        await reader.until_room("", "caught_up")
        with psycopg.connect(chat.suite.database.superuser_dsn) as connection:
            connection.execute(
                "INSERT INTO messages.read_cursors (room_uid, user_uid, user_id, seq, revision, update_time, moved_xid)"
                " VALUES (%s, %s, 'bob', 2, 1, now(), pg_current_xact_id())",
                (uid_of("one"), uid_of("bob")),
            )
        (event,) = await _until_read_state(reader, "one", 1)
        assert event.read_state.cursor.seq == 2


async def test_cursors_and_typing_come_with_their_rooms(chat: Chat) -> None:
    move = read_states_pb2.SetReadCursorRequest(room_id="one", seq=0)
    await chat.suite.read_states.SetReadCursor(move, metadata=user("alice"))
    async with chat.following("one", "two", cursors=True) as reader, chat.following("one", who="alice") as other:
        events = await reader.until_room("", "caught_up")
        await other.until_room("", "caught_up")
        assert _told(events)["one"] == ["opened", "cursor_set", "caught_up"]
        await chat.send_many(2, room_id="two")
        move = read_states_pb2.SetReadCursorRequest(room_id="two", seq=1)
        await chat.suite.read_states.SetReadCursor(move, metadata=user("alice"))
        (*_, event) = await reader.until("cursor_set")
        assert (event.room_id, event.cursor_set.user_id, event.cursor_set.seq) == ("two", "alice", 1)
        typing = pb2.SendTypingRequest(room_id="one")
        await chat.suite.messages.SendTyping(typing, metadata=user("alice"))
        assert (await reader.next()).typing.user_id == "alice"
        await chat.send(text("x", "1", "one"))
        # Alice is not told that she types.
        assert (await other.next()).HasField("message_created")


@pytest.mark.parametrize("is_older", [False, True], ids=["rooms", "rooms of the release before"])
async def test_rooms_is_asked_once_for_all_rooms_of_a_page_who_has_left_them(chat: Chat, is_older: bool) -> None:
    chat.peers.is_without_batch_filter = is_older
    for room_id in ("one", "two", "three"):
        for user_id in ("alice", "bob"):
            move = read_states_pb2.SetReadCursorRequest(room_id=room_id, seq=0)
            await chat.suite.read_states.SetReadCursor(move, metadata=user(user_id))
    chat.peers.remove("two", "alice")
    chat.peers.members["three"].discard("bob")
    async with chat.following("one", "two", "three", cursors=True, who="alice") as reader:
        events = await reader.until_room("", "caught_up")
    told = {(event.room_id, event.cursor_set.user_id) for event in events if event.HasField("cursor_set")}
    assert told == {("one", "alice"), ("one", "bob"), ("three", "alice")}
    assert chat.peers.batches_filtered == ([] if is_older else [2])
    assert chat.peers.filtered == (2 if is_older else 0)


async def test_who_may_not_read_cursors_in_a_room_gets_the_others_when_asking_for_them(chat: Chat) -> None:
    chat.peers.denied_in["bob", "one"] = {"cursors:read:get"}
    async with chat.following("one", "two", cursors=True) as reader:
        events = await reader.until_room("", "caught_up")
        assert _reasons(events) == {"one": "PERMISSION_MISSING"}
        assert _told(events)["two"] == ["opened", "caught_up"]
