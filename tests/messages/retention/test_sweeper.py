"""The sweeper beside writers, other sweepers and a rooms that changes its mind: it removes the beginning or nothing."""

import asyncio
from collections.abc import Iterable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from services.messages.retention import sweeper as sweeper_module
from services.messages.retention.model import Retention
from services.messages.retention.store import RetentionStore
from services.runtime.contract.errors import Aborted
from services.runtime.data.database import Database, create_engine
from services.runtime.ids import RoomUid
from tests.messages.chat import Chat
from tests.messages.retention.sweeping import Rooms, grow_old, oldest_seq, sweeper
from tests.support.clock import LeapingClock
from tests.support.databases import TestDatabase
from tests.support.peers import room_uid_of

_LOBBY = room_uid_of("lobby")
_NOW = datetime(2026, 1, 31, tzinfo=UTC)


def _fill(database: TestDatabase, *room_uids: UUID, count: int = 3, edits: int = 0) -> None:
    """Give rooms so many messages of a year ago and, after them, edits of the first one."""
    with psycopg.connect(database.superuser_dsn) as connection:
        for room_uid in room_uids:
            connection.execute(
                "INSERT INTO messages.heads (room_uid, seq, ordinal, last_time) VALUES (%s, %s, %s, now())",
                (room_uid, count + edits, count),
            )
            connection.execute(
                "INSERT INTO messages.messages"
                " (room_uid, seq, ordinal, sender_uid, request_id, content_hash, create_time, message)"
                " SELECT %s, n, n, %s, n::text, '', now() - interval '1 year', ''"
                " FROM generate_series(1, %s::bigint) AS n",
                (room_uid, uuid4(), count),
            )
            connection.execute(
                "INSERT INTO messages.events (room_uid, seq, kind, message_seq, time)"
                " SELECT %s, n, 2, 1, now() - interval '1 year' FROM generate_series(%s::bigint, %s::bigint) AS n",
                (room_uid, count + 1, count + edits),
            )


async def test_more_than_a_batch_goes_in_batches_and_the_room_is_told_once(database: TestDatabase) -> None:
    rooms, swept = [RoomUid(uuid4()), RoomUid(uuid4())], list[RoomUid]()
    _fill(database, *rooms, count=450, edits=450)
    async with sweeper(database, Rooms(dict.fromkeys(rooms)), swept=swept) as sweeping:
        await sweeping.sweep()
    assert [oldest_seq(database, room_uid) for room_uid in rooms] == [901, 901]
    assert sorted(swept) == sorted(rooms)
    assert (sweeping.events_removed, sweeping.rooms_swept, sweeping.rooms_left) == (1800, 2, 0)
    assert (sweeping.rounds.done, sweeping.rounds.failed) == (1, 0)


async def test_sweepers_at_once_beside_senders_harm_nothing(chat: Chat) -> None:
    await chat.send_many(300, "old")
    grow_old(chat.suite.database, 300)
    async with AsyncExitStack() as stack:
        lent = [sweeper(chat.suite.database, Rooms({_LOBBY: None})) for _ in range(3)]
        sweepers = [await stack.enter_async_context(one) for one in lent]
        await asyncio.gather(*(one.sweep() for one in sweepers), chat.send_many(100, "new"))
        # One that met another has left the room to it, which may have been about to finish.
        await sweepers[0].sweep()
    assert oldest_seq(chat.suite.database) == 301
    assert chat.suite.database.count("messages.messages") == 100


async def test_a_removal_that_is_broken_off_has_removed_nothing(database: TestDatabase) -> None:
    _fill(database, _LOBBY)
    store = RetentionStore(Database(create_engine(database.dsn("messages"))))
    until = await store.now() + timedelta(seconds=30)
    with psycopg.connect(database.superuser_dsn) as connection:
        # The last of the rows can't be had, when the head and the others are.
        connection.execute("SELECT FROM messages.messages WHERE seq = 3 FOR UPDATE")
        with pytest.raises(Aborted):
            await store.remove(_LOBBY, range(1, 4), until)
    assert oldest_seq(database) == 1
    assert await store.remove(_LOBBY, range(1, 4), until)
    assert oldest_seq(database) == 4
    await store._database.close()


async def test_a_room_whose_head_is_held_is_left_for_later_and_the_others_are_swept(database: TestDatabase) -> None:
    rooms = [RoomUid(uuid4()) for _ in range(4)]
    _fill(database, *rooms)
    held = rooms[0]
    async with sweeper(database, Rooms(dict.fromkeys(rooms))) as sweeping:
        with psycopg.connect(database.superuser_dsn) as connection:
            connection.execute("SELECT FROM messages.heads WHERE room_uid = %s FOR UPDATE", (held,))
            await sweeping.sweep()
        assert [oldest_seq(database, room_uid) for room_uid in rooms] == [1, 4, 4, 4]
        assert (sweeping.rooms_swept, sweeping.rooms_left) == (3, 1)
        await sweeping.sweep()
    assert oldest_seq(database, held) == 4


async def test_a_log_that_begins_elsewhere_by_now_is_not_touched(database: TestDatabase) -> None:
    _fill(database, _LOBBY)
    store = RetentionStore(Database(create_engine(database.dsn("messages"))))
    until = await store.now() + timedelta(seconds=30)
    assert await store.remove(_LOBBY, range(1, 2), until)
    assert not await store.remove(_LOBBY, range(1, 3), until)
    assert oldest_seq(database) == 2
    await store._database.close()


async def test_an_answer_that_is_too_old_by_the_databases_clock_removes_nothing(database: TestDatabase) -> None:
    _fill(database, _LOBBY)
    store = RetentionStore(Database(create_engine(database.dsn("messages"))))
    assert not await store.remove(_LOBBY, range(1, 4), await store.now())
    assert oldest_seq(database) == 1
    await store._database.close()


class _SlowRooms(Rooms):
    """A rooms whose answers take as long to arrive as it says, and which lengthens every retention after the first."""

    def __init__(self, days: dict[RoomUid, int | None], clock: LeapingClock, seconds: float) -> None:
        super().__init__(days)
        self._clock = clock
        self._seconds = seconds

    async def of(self, room_uids: Iterable[RoomUid]) -> dict[RoomUid, int | None]:
        answer = await super().of(room_uids)
        self.days = dict.fromkeys(self.days, 3_650)
        if self.asked == 1:
            self._clock.leap(self._seconds)
        return answer


@pytest.mark.parametrize(("seconds", "begins_at"), [(1, 4), (20, 1)])
async def test_rooms_is_asked_again_rather_than_believed_for_long(
    database: TestDatabase, seconds: float, begins_at: int
) -> None:
    _fill(database, _LOBBY)
    clock = LeapingClock()
    rooms = _SlowRooms({_LOBBY: 30}, clock, seconds)
    async with sweeper(database, rooms, clock=clock) as sweeping:
        await sweeping.sweep()
    assert oldest_seq(database) == begins_at


async def test_every_room_is_walked_over_whatever_the_size_of_a_page(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper_module, "_MOST_ROOMS", 2)
    rooms = [RoomUid(uuid4()) for _ in range(7)]
    _fill(database, *rooms)
    stub = Rooms(dict.fromkeys(rooms))
    async with sweeper(database, stub) as sweeping:
        await sweeping.sweep()
    assert {oldest_seq(database, room_uid) for room_uid in rooms} == {4}
    assert stub.asked >= 4


async def test_rooms_is_not_asked_about_rooms_in_which_nothing_is_old(chat: Chat) -> None:
    await chat.send_many(3)
    stub = Rooms({_LOBBY: 7})
    async with sweeper(chat.suite.database, stub) as sweeping:
        await sweeping.sweep()
    assert (stub.asked, oldest_seq(chat.suite.database)) == (0, 1)


@pytest.mark.parametrize(
    ("deployment", "room", "kept"),
    [
        (None, None, None),
        (30, None, 30),
        (None, 30, 30),
        (30, 90, 90),
        (90, 30, 30),
        # The minimum was raised since.
        (None, 3, 7),
        (30, 2**31 - 1, None),
        (2**31 - 1, None, None),
    ],
)
def test_the_rooms_own_retention_counts_and_never_less_than_the_minimum(
    deployment: int | None, room: int | None, kept: int | None
) -> None:
    cutoff = Retention(deployment, 7).cutoff(room, _NOW)
    assert cutoff == (None if kept is None else _NOW - timedelta(days=kept))


@pytest.mark.parametrize("days", [6, 0, -1])
def test_a_deployments_retention_below_the_minimum_is_refused(days: int) -> None:
    with pytest.raises(ValueError, match="7 days at the least"):
        Retention(days, 7)
