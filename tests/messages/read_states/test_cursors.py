"""Moves of read cursors on their way to subscribers: live, over the bus, and from the database when nobody tells."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import grpc
import psycopg
import pytest
from chatkit.messages.v1 import messages_service_pb2 as messages_pb2
from chatkit.messages.v1 import read_states_service_pb2 as pb2
from chatkit.messages.v1 import room_event_pb2
from chatkit.messages.v1.read_states_service_pb2_grpc import ReadStatesServiceStub
from hypothesis import given, settings
from hypothesis import strategies as st

from services.messages.read_states.cursor_bus import CursorAnnouncements
from services.messages.read_states.cursors_store import ReadCursorsStore
from services.messages.read_states.live_cursors import Cursors
from services.messages.read_states.model import Move, Moved, ReadCursor
from services.runtime.access.port import MembershipChanged
from services.runtime.contract.errors import Unavailable
from services.runtime.data.database import Database, create_engine
from services.runtime.ids import RoomUid, UserId
from tests.messages.chat import Chat, Reader, text
from tests.support.clock import ManualClock
from tests.support.databases import TestDatabase
from tests.support.eventually import eventually, until
from tests.support.nats import Nats
from tests.support.nats import running as running_nats
from tests.support.peers import Peers, serve, uid_of, user_uid_of
from tests.support.refusals import decode
from tests.support.suite import running
from tests.support.tokens import user

# Through the service.


async def _set(chat: Chat, seq: int, who: str) -> None:
    request = pb2.SetReadCursorRequest(room_id="lobby", seq=seq)
    await chat.suite.read_states.SetReadCursor(request, metadata=user(who))


def _told(events: list[room_event_pb2.RoomEvent]) -> dict[str, int]:
    return {event.cursor_set.user_id: event.cursor_set.seq for event in events if event.HasField("cursor_set")}


async def test_a_stream_starts_with_the_members_cursors_and_shows_each_move(chat: Chat) -> None:
    await chat.send_many(3)
    await _set(chat, 1, "alice")
    async with chat.reading(cursors=True) as reader:
        events = await reader.until("caught_up")
        kinds = [event.WhichOneof("event") for event in events]
        assert kinds == ["opened", "message_created", "message_created", "message_created", "cursor_set", "caught_up"]
        assert (events[4].seq, events[4].room_id, events[4].cursor_set.user_id) == (0, "lobby", "alice")
        # One's own, too: it may have been moved on another device.
        await _set(chat, 2, "bob")
        await _set(chat, 3, "alice")
        await _set(chat, 2, "alice")
        moves = [await reader.next(), await reader.next()]
        assert [(move.cursor_set.user_id, move.cursor_set.seq, move.cursor_set.revision) for move in moves] == [
            ("bob", 2, 1),
            ("alice", 3, 2),
        ]
        position = events[0].opened.position
    async with chat.reading(after=position, cursors=True) as reader:
        assert _told(await reader.until("caught_up")) == {"alice": 3, "bob": 2}


async def test_without_being_asked_for_no_cursor_is_sent(chat: Chat) -> None:
    await chat.send_many(1)
    await _set(chat, 1, "alice")
    async with chat.reading() as reader:
        assert _told(await reader.until("caught_up")) == {}
        await _set(chat, 1, "bob")
        await chat.send(text("more", "more"))
        assert (await reader.next()).HasField("message_created")


async def test_cursors_on_a_stream_need_their_own_permission(chat: Chat) -> None:
    await chat.peers.watched.wait()
    chat.peers.denied["bob"] = {"cursors:read:get"}
    async with chat.reading() as reader:
        await reader.until("caught_up")
    async with chat.reading(cursors=True) as reader:
        assert await _ended(reader) == "PERMISSION_MISSING"


async def test_a_stream_with_cursors_ends_when_they_may_be_read_no_longer(chat: Chat) -> None:
    role = (1, "reader")
    chat.peers.assign("bob", role)
    async with chat.reading(cursors=True) as reader, chat.reading() as other:
        await reader.until("caught_up")
        await other.until("caught_up")
        chat.peers.change_role(role, denied={"cursors:read:get"})
        assert await _ended(reader) == "PERMISSION_MISSING"
        await chat.send(text("goes on", "1"))
        assert (await other.next()).HasField("message_created")


async def test_who_has_left_is_not_told_when_a_stream_starts_and_is_when_they_have_come_back(chat: Chat) -> None:
    await chat.peers.watched.wait()
    await chat.send_many(2)
    await _set(chat, 1, "alice")
    async with chat.reading(cursors=True) as first:
        assert _told(await first.until("caught_up")) == {"alice": 1}
        chat.peers.remove("lobby", "alice")

        async def nobody_is_told() -> bool:
            async with chat.reading(cursors=True) as another:
                return _told(await another.until("caught_up")) == {}

        await until(nobody_is_told)
        async with chat.reading(cursors=True) as second:
            assert _told(await second.until("caught_up")) == {}
            chat.peers.add("lobby", "alice")
            # Nobody moves it: it is looked for.
            assert _told([await second.next()]) == {"alice": 1}
    chat.peers.members["lobby"].discard("alice")
    async with chat.reading(cursors=True) as third:
        assert _told(await third.until("caught_up")) == {}


async def test_streams_with_cursors_start_while_rooms_cannot_tell_who_has_left(chat: Chat) -> None:
    await chat.send_many(1)
    await _set(chat, 1, "alice")
    chat.peers.is_without_filter = True
    async with chat.reading(cursors=True) as reader:
        assert _told(await reader.until("caught_up")) == {"alice": 1}


async def _ended(reader: Reader) -> str:
    try:
        while True:
            await reader.next()
    except grpc.aio.AioRpcError as error:
        return decode(error).reason


# Through two replicas.


@asynccontextmanager
async def _two_replicas(
    database: TestDatabase, folder: Path, nats: Nats, poll_seconds: float
) -> AsyncIterator[tuple[ReadStatesServiceStub, Chat]]:
    """Run two: the stub calls the first, and what the chat reads comes from the second."""
    peers = Peers(members={"lobby": {"alice", "bob"}}, users={"alice", "bob"})
    async with serve(peers):
        told: dict[str, Any] = {
            "rooms_address": peers.address,
            "users_address": peers.address,
            "nats": nats,
            "heads_poll_interval_seconds": poll_seconds,
        }
        async with running(database, folder, "messages", **told) as suite:
            chat = Chat(suite, peers)
            await chat.send_many(3)
            mover = suite.read_states
            await suite.start("messages")
            await eventually(lambda: nats.subscriptions() == 2 * 5)
            yield mover, chat


@pytest.mark.parametrize("bus_is_there", [True, False])
async def test_a_move_at_one_replica_reaches_subscribers_of_the_other(
    database: TestDatabase, tmp_path: Path, bus_is_there: bool
) -> None:
    with running_nats(tmp_path) as nats:
        poll_seconds = 3_600.0 if bus_is_there else 0.1
        async with (
            _two_replicas(database, tmp_path, nats, poll_seconds) as (mover, chat),
            chat.reading(cursors=True, last=0) as reader,
        ):
            await reader.until("caught_up")
            if not bus_is_there:
                nats.kill()
            for seq in (1, 2, 3):
                request = pb2.SetReadCursorRequest(room_id="lobby", seq=seq)
                await mover.SetReadCursor(request, metadata=user("alice"))
            told: list[int] = []
            while not told or told[-1] < 3:
                told.append((await reader.next()).cursor_set.seq)
            assert told == sorted(set(told))


# The rules, on a clock that the test moves.

_ROOM, _TIME = RoomUid(uuid4()), datetime(2026, 1, 1, tzinfo=UTC)


class _Table:
    """The cursors in the database: what is there, and which moves became visible since which look."""

    def __init__(self) -> None:
        self.cursors: dict[UUID, ReadCursor] = {}
        self.moves: list[ReadCursor] = []
        self.looks = 0
        self.is_away = False

    def move(self, user_id: str, seq: int) -> ReadCursor:
        user_uid = user_uid_of(user_id)
        revision = self.cursors[user_uid].revision + 1 if user_uid in self.cursors else 1
        cursor = ReadCursor(_ROOM, user_uid, user_id, seq, revision, _TIME)
        self.cursors[user_uid] = cursor
        self.moves.append(cursor)
        return cursor

    async def newest(self, _room_uids: list[RoomUid], most: int) -> Moved:
        return Moved(list(self.cursors.values())[:most], len(self.moves))

    async def moved_since(self, _room_uids: list[RoomUid], horizon: int) -> Moved:
        self.looks += 1
        if self.is_away:
            raise Unavailable("DATABASE_UNAVAILABLE", "away")
        # The last one is seen again, as it is when a transaction was still open.
        return Moved([self.cursors[move.user_uid] for move in self.moves[max(0, horizon - 1) :]], len(self.moves))

    async def of_pairs(self, pairs: set[tuple[UUID, UUID]]) -> list[ReadCursor]:
        return [self.cursors[user_uid] for _, user_uid in pairs if user_uid in self.cursors]


class _Follower:
    """What the fan-out needs of a subscription; it writes down the frames that it is given."""

    def __init__(self) -> None:
        self.room_uid = _ROOM
        self.includes_cursors = True
        self.frames: list[bytes] = []

    def push(self, _seq: int, event: bytes) -> None:
        self.frames.append(event)

    @property
    def told(self) -> list[tuple[str, int]]:
        frames = [messages_pb2.SubscribeRoomResponse.FromString(frame) for frame in self.frames]
        return [(frame.events[0].cursor_set.user_id, frame.events[0].cursor_set.revision) for frame in frames]


class _Everybody:
    """Rooms: who has left."""

    def __init__(self) -> None:
        self.left: set[UUID] = set()

    async def of_members_of_many(self, _rooms: Mapping[UUID, str], cursors: list[ReadCursor]) -> list[ReadCursor]:
        return [cursor for cursor in cursors if cursor.user_uid not in self.left]


@dataclass
class _Process:
    table: _Table
    rooms: _Everybody
    clock: ManualClock
    cursors: Cursors
    follower: _Follower

    async def follow(self) -> list[bytes]:
        subscriber = cast("Any", self.follower)
        self.cursors.join("lobby", subscriber)
        await self.cursors.follow(subscriber)
        self.follower.frames = self.cursors.events(subscriber)
        return self.follower.frames


@asynccontextmanager
async def _process(table: _Table) -> AsyncIterator[_Process]:
    clock, rooms = ManualClock(), _Everybody()
    cursors = Cursors(cast("Any", table), cast("Any", rooms), clock, interval=2, most=200)
    running_cursors = asyncio.create_task(cursors.run())
    await clock.advance(0)
    yield _Process(table, rooms, clock, cursors, _Follower())
    running_cursors.cancel()
    await asyncio.gather(running_cursors, return_exceptions=True)


async def test_a_move_that_nobody_tells_arrives_within_the_interval() -> None:
    async with _process(_Table()) as process:
        process.table.move("alice", 1)
        assert len(await process.follow()) == 1
        process.table.move("bob", 1)
        process.table.move("bob", 2)
        await process.clock.advance(2)
        assert process.follower.told == [("alice", 1), ("bob", 2)]
        # What was seen is not told again.
        await process.clock.advance(10)
        assert process.follower.told == [("alice", 1), ("bob", 2)]


async def test_looks_go_on_where_they_failed_and_none_are_made_for_nobody() -> None:
    async with _process(_Table()) as process:
        await process.clock.advance(10)
        assert process.table.looks == 0
        await process.follow()
        process.table.is_away = True
        process.table.move("bob", 1)
        await process.clock.advance(4)
        process.table.is_away = False
        await process.clock.advance(2)
        assert process.follower.told == [("bob", 1)]
        process.cursors.leave(cast("Any", process.follower))
        looks = process.table.looks
        await process.clock.advance(10)
        assert process.table.looks == looks


async def test_another_database_makes_known_revisions_void() -> None:
    async with _process(_Table()) as process:
        for seq in (1, 2, 3):
            process.table.move("bob", seq)
        await process.follow()
        process.table.cursors.clear()
        process.table.move("bob", 2)
        process.cursors.reset()
        await process.clock.advance(2)
        assert process.follower.told == [("bob", 3), ("bob", 1)]


async def test_a_member_who_leaves_while_the_cursors_are_read_is_forgotten() -> None:
    async with _process(_Table()) as process:
        process.table.move("alice", 1)
        asked, answer = asyncio.Event(), asyncio.Event()

        async def of_members_of_many(_rooms: Mapping[UUID, str], cursors: list[ReadCursor]) -> list[ReadCursor]:
            asked.set()
            await answer.wait()
            return cursors

        process.rooms.of_members_of_many = of_members_of_many  # type: ignore[method-assign]
        following = asyncio.create_task(process.follow())
        await asked.wait()
        process.cursors.changed(MembershipChanged(_ROOM, user_uid_of("alice"), UserId("alice"), is_member=False))
        answer.set()
        assert await following == []


async def test_what_was_read_of_the_database_before_is_not_taken_after_it() -> None:
    async with _process(_Table()) as process:
        for seq in (1, 2, 3):
            process.table.move("alice", seq)
        asked, answer = asyncio.Event(), asyncio.Event()

        async def of_members_of_many(_rooms: Mapping[UUID, str], cursors: list[ReadCursor]) -> list[ReadCursor]:
            asked.set()
            await answer.wait()
            return cursors

        process.rooms.of_members_of_many = of_members_of_many  # type: ignore[method-assign]
        following = asyncio.create_task(process.follow())
        await asked.wait()
        process.table.cursors.clear()
        process.table.move("alice", 1)
        process.cursors.reset()
        answer.set()
        await following
        assert process.follower.told == [("alice", 1)]


async def test_when_changes_of_access_were_missed_it_is_asked_anew_who_is_a_member() -> None:
    async with _process(_Table()) as process:
        process.table.move("alice", 1)
        process.table.move("bob", 1)
        await process.follow()
        process.rooms.left.add(uid_of("alice"))
        process.cursors.missed()
        await process.clock.advance(2)
        # Nobody is told again what they know, and who comes is told of members only.
        assert process.follower.told == [("alice", 1), ("bob", 1)]
        assert len(process.cursors.events(cast("Any", process.follower))) == 1


_MOVES = st.lists(
    st.tuples(
        st.sampled_from(["alice", "bob"]),
        st.sampled_from(["told", "twice", "lost", "late", "without a payload", "of another epoch"]),
    ),
    max_size=40,
)


@settings(max_examples=100, deadline=None)
@given(_MOVES)
def test_a_bus_that_drops_doubles_and_reorders_changes_nothing_for_subscribers(moves: list[tuple[str, str]]) -> None:
    asyncio.run(_play(moves))


async def _play(moves: list[tuple[str, str]]) -> None:
    epoch = SimpleNamespace(value=uuid4())
    async with _process(_Table()) as process:
        await process.follow()
        heard = CursorAnnouncements(process.cursors, cast("Any", epoch), cast("Any", None), "cursors")
        late: list[tuple[bytes, bytes]] = []
        for seq, (user_id, fate) in enumerate(moves, start=1):
            told: list[tuple[bytes, bytes]] = []
            bus = SimpleNamespace(publish=lambda _subject, *what, told=told: told.append(what))
            of = SimpleNamespace(value=uuid4()) if fate == "of another epoch" else epoch
            nobody = SimpleNamespace(take=lambda *_: None)
            mover = CursorAnnouncements(cast("Any", nobody), cast("Any", of), cast("Any", bus), "cursors")
            mover.moved("lobby", process.table.move(user_id, seq))
            ((key, payload),) = told
            if fate == "late":
                late.append((key, payload))
            elif fate != "lost":
                for _ in range(2 if fate == "twice" else 1):
                    heard.received(key, b"" if fate == "without a payload" else payload)
            await process.clock.advance(0)
        for key, payload in reversed(late):
            heard.received(key, payload)
        await process.clock.advance(2)
        told_revisions = {
            user_id: [revision for who, revision in process.follower.told if who == user_id]
            for user_id in ("alice", "bob")
        }
        for user_id, revisions in told_revisions.items():
            assert revisions == sorted(set(revisions))
            last = process.table.cursors.get(uid_of(user_id))
            assert (revisions[-1] if revisions else None) == (last.revision if last else None)


async def test_a_move_of_another_life_of_the_database_is_looked_for_and_not_taken() -> None:
    async with _process(_Table()) as process:
        process.table.move("alice", 1)
        await process.follow()
        told: list[tuple[bytes, bytes]] = []
        bus = SimpleNamespace(publish=lambda _subject, *what: told.append(what))
        nobody = SimpleNamespace(take=lambda *_: None)
        epochs = [SimpleNamespace(value=uuid4()), SimpleNamespace(value=uuid4())]
        mover = CursorAnnouncements(cast("Any", nobody), cast("Any", epochs[0]), cast("Any", bus), "cursors")
        mover.moved("lobby", ReadCursor(_ROOM, user_uid_of("alice"), "alice", 9, 9, _TIME))
        hearer = CursorAnnouncements(process.cursors, cast("Any", epochs[1]), cast("Any", bus), "cursors")
        hearer.received(*told[0])
        await process.clock.advance(0)
        assert (process.follower.told, process.table.looks) == ([("alice", 1)], 1)


def test_what_is_no_announcement_is_refused() -> None:
    announcements = CursorAnnouncements(cast("Any", None), cast("Any", None), cast("Any", None), "cursors")
    with pytest.raises(ValueError, match="the key is not one"):
        announcements.received(b"short", b"")


# In the database.


@asynccontextmanager
async def _store(database: TestDatabase) -> AsyncIterator[ReadCursorsStore]:
    opened = Database(create_engine(database.dsn("messages")))
    yield ReadCursorsStore(opened)
    await opened.close()


async def test_a_look_misses_no_move_whose_transaction_was_open_during_the_look_before(database: TestDatabase) -> None:
    async with _store(database) as store:
        late, early = (Move(_ROOM, user_uid_of(name), name, 0, allow_backward=False) for name in ("late", "early"))
        await store.move(early)
        horizon = (await store.newest([_ROOM], 10)).horizon
        with psycopg.connect(database.superuser_dsn) as other:
            other.execute(
                """
                INSERT INTO messages.read_cursors VALUES (%s, %s, 'late', 0, 1, now() - interval '1 day',
                    pg_current_xact_id())
                """,
                (_ROOM, late.user_uid),
            )
            # Younger transactions come and go, and looks are made, while this one stays open.
            await store.move(Move(_ROOM, user_uid_of("younger"), "younger", 0, allow_backward=False))
            seen = await store.moved_since([_ROOM], horizon)
            assert {cursor.user_id for cursor in seen.cursors} == {"younger"}
        seen = await store.moved_since([_ROOM], seen.horizon)
        assert {cursor.user_id for cursor in seen.cursors} == {"younger", "late"}
        assert (await store.moved_since([_ROOM], seen.horizon)).cursors == []
        assert (await store.moved_since([RoomUid(uuid4())], 1)).cursors == []


async def test_rows_of_a_restored_database_are_not_read_again_and_again(database: TestDatabase) -> None:
    async with _store(database) as store:
        await store.move(Move(_ROOM, user_uid_of("alice"), "alice", 0, allow_backward=False))
        horizon = (await store.newest([_ROOM], 10)).horizon
        with psycopg.connect(database.superuser_dsn) as connection:
            connection.execute("UPDATE messages.read_cursors SET moved_xid = '123456789012345'")
        assert (await store.moved_since([_ROOM], horizon)).cursors == []
        assert [cursor.user_id for cursor in (await store.newest([_ROOM], 10)).cursors] == ["alice"]
        await store.move(Move(_ROOM, user_uid_of("bob"), "bob", 0, allow_backward=False))
        assert [cursor.user_id for cursor in (await store.moved_since([_ROOM], horizon)).cursors] == ["bob"]


async def test_the_cursors_that_moved_last_are_read_first(database: TestDatabase) -> None:
    async with _store(database) as store:
        for name in ("one", "two", "three"):
            await store.move(Move(_ROOM, user_uid_of(name), name, 0, allow_backward=False))
        assert [cursor.user_id for cursor in (await store.newest([_ROOM], 2)).cursors] == ["three", "two"]
