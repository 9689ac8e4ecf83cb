"""Changes get dense versions in the order of commits, and nobody who makes one waits for others. Against PostgreSQL."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.rooms.model import Change, ChangeKind
from services.rooms.recorded_changes import change_log
from services.rooms.tables import changes
from services.runtime.data.change_log import ChangeStore
from services.runtime.data.database import Database, create_engine
from services.runtime.data.query import Query
from services.runtime.ids import RoomUid, UserId
from tests.support.databases import TestDatabase

# The state of the tests: who is in a room, by what the changes say.
_MEMBERS = Query("""
    SELECT counter.version, NOT EXISTS (SELECT FROM rooms.unordered_changes) AS is_settled, member.user_id
    FROM rooms.change_counter AS counter LEFT JOIN rooms.members AS member ON true
""")
_ROOM = RoomUid(UUID(int=1))


@pytest.fixture
async def database_of_rooms(database: TestDatabase) -> AsyncIterator[Database]:
    """Return connections of rooms, as many as the tests have writers."""
    with psycopg.connect(database.superuser_dsn) as connection:
        connection.execute("CREATE TABLE rooms.members (user_id text PRIMARY KEY)")
        connection.execute("GRANT ALL ON rooms.members TO PUBLIC")
    found = Database(create_engine(database.dsn("rooms"), connections=16))
    yield found
    await found.close()


@pytest.fixture
def store(database_of_rooms: Database) -> ChangeStore[Change]:
    """Return the changes of rooms."""
    return ChangeStore(database_of_rooms, change_log)


def _change(user_id: str, kind: ChangeKind = ChangeKind.MEMBER_ADDED) -> Change:
    return Change(version=0, kind=kind, room_uid=_ROOM, user_id=UserId(user_id))


@asynccontextmanager
async def _recording(database: Database, *user_ids: str, at_once: bool = False) -> AsyncIterator[AsyncConnection]:
    """Record changes in a transaction that is committed behind the body."""
    async with database.transaction() as connection:
        made = [_change(user_id) for user_id in user_ids]
        if at_once:
            await change_log.record_at_once(connection, made)
        else:
            await change_log.record(connection, made)
        yield connection


async def _record(database: Database, *user_ids: str, at_once: bool = False) -> None:
    async with _recording(database, *user_ids, at_once=at_once):
        pass


async def _ordered_at_once(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute(text("UPDATE rooms.change_counter SET is_ordered_later = false"))


async def _told(store: ChangeStore[Change]) -> Sequence[tuple[int, str | None]]:
    head = await store.head()
    told = [(change.version, change.user_id) for change in await store.after(0, 10_000)]
    assert [version for version, _ in told] == list(range(1, head.version + 1))
    return told


def _names(told: Sequence[tuple[int, str | None]]) -> list[str | None]:
    return [name for _, name in told]


async def test_who_is_not_done_holds_up_nobody(database_of_rooms: Database, store: ChangeStore[Change]) -> None:
    async with _recording(database_of_rooms, "slow"):
        async with asyncio.timeout(10):
            await _record(database_of_rooms, "quick", "quick too")
            assert _names(await _told(store)) == ["quick", "quick too"]
    assert _names(await _told(store)) == ["quick", "quick too", "slow"]


async def test_what_is_rolled_back_leaves_no_gap(database_of_rooms: Database, store: ChangeStore[Change]) -> None:
    with pytest.raises(ZeroDivisionError):
        async with _recording(database_of_rooms, "undone"):
            raise ZeroDivisionError
    await _record(database_of_rooms, "done")
    assert await _told(store) == [(1, "done")]


async def test_what_is_given_its_version_at_once_comes_behind_all_that_are_committed(
    database_of_rooms: Database, store: ChangeStore[Change]
) -> None:
    await _record(database_of_rooms, "first")
    await _record(database_of_rooms, "second", at_once=True)
    await _record(database_of_rooms, "third")
    assert _names(await _told(store)) == ["first", "second", "third"]


async def test_where_the_release_before_may_run_each_change_has_its_version_at_once(
    database_of_rooms: Database, store: ChangeStore[Change], database: TestDatabase
) -> None:
    await _record(database_of_rooms, "left")
    await _ordered_at_once(database_of_rooms)
    await _record(database_of_rooms, "a", "b")
    assert database.count("rooms.unordered_changes") == 0
    assert _names(await _told(store)) == ["left", "a", "b"]


async def test_very_many_are_given_versions_in_their_order(
    database_of_rooms: Database, store: ChangeStore[Change]
) -> None:
    names = [f"u{number}" for number in range(2_500)]
    await _record(database_of_rooms, *names[:1_200])
    await _record(database_of_rooms, *names[1_200:])
    assert _names(await _told(store)) == names


async def test_several_who_look_at_once_give_each_change_one_version(
    database_of_rooms: Database, store: ChangeStore[Change]
) -> None:
    # The first look of all writes the epoch.
    await store.head()

    async def make(number: int) -> None:
        await _record(database_of_rooms, *(f"{number}-{place}" for place in range(number % 3 + 1)))
        await store.head()

    await asyncio.gather(*(make(number) for number in range(60)))
    names = _names(await _told(store))
    assert sorted(map(str, names)) == sorted(f"{one}-{place}" for one in range(60) for place in range(one % 3 + 1))


async def test_what_waited_for_a_lock_comes_behind_what_held_it(
    database_of_rooms: Database, store: ChangeStore[Change]
) -> None:
    """Each is made under the lock of one row, by ten at once; the versions are in the order in which they had it."""
    had: list[str] = []

    async def make(name: str) -> None:
        async with database_of_rooms.transaction() as connection:
            await connection.execute(text("INSERT INTO rooms.members VALUES ('lock') ON CONFLICT (user_id) DO NOTHING"))
            await connection.execute(text("SELECT FROM rooms.members WHERE user_id = 'lock' FOR UPDATE"))
            had.append(name)
            await change_log.record(connection, [_change(name)])

    async def look() -> None:
        for _ in range(20):
            await store.head()

    await asyncio.gather(look(), *(make(f"u{number}") for number in range(40)))
    assert _names(await _told(store)) == had


async def test_a_state_is_that_of_its_version_while_changes_are_made_all_the_time(
    database_of_rooms: Database, store: ChangeStore[Change]
) -> None:
    """Six writers add and remove members; the state that is read is what the changes up to its version say."""
    is_over = False
    read: list[tuple[int, set[str]]] = []

    async def write(number: int) -> None:
        chance = random.Random(number)
        here = set[str]()
        while not is_over:
            name = f"{number}-{chance.randrange(4)}"
            kind = ChangeKind.MEMBER_REMOVED if name in here else ChangeKind.MEMBER_ADDED
            statement = (
                "DELETE FROM rooms.members WHERE user_id = :name"
                if name in here
                else "INSERT INTO rooms.members VALUES (:name)"
            )
            async with database_of_rooms.transaction() as connection:
                await connection.execute(text(statement), {"name": name})
                await change_log.record(connection, [_change(name, kind)])
            here ^= {name}

    async def look() -> None:
        while not is_over:
            await store.head()

    writers = [asyncio.create_task(write(number)) for number in range(6)]
    looking = asyncio.create_task(look())
    for _ in range(60):
        rows = await change_log.settled(database_of_rooms, _MEMBERS, {})
        read.append((rows[0].version, {row.user_id for row in rows if row.user_id is not None}))
    is_over = True
    await asyncio.gather(looking, *writers)
    await store.head()
    told = await store.after(0, 100_000)
    members = {0: set[str]()}
    for change in told:
        assert change.user_id is not None
        members[change.version] = members[change.version - 1] ^ {change.user_id}
    assert [(version, found) for version, found in read if members[version] != found] == []


async def test_what_is_forgotten_may_have_had_no_version_yet(
    database_of_rooms: Database, store: ChangeStore[Change]
) -> None:
    user_uid = uuid4()
    async with database_of_rooms.transaction() as connection:
        change = Change(version=0, kind=ChangeKind.MEMBER_ADDED, room_uid=_ROOM, user_uid=user_uid, user_id=UserId("u"))  # type: ignore[arg-type]
        await change_log.record(connection, [change])
    nothing = {"kind": ChangeKind.UNKNOWN, "user_uid": None, "user_id": None}
    async with database_of_rooms.transaction() as connection:
        about = changes.c.user_uid == user_uid
        assert not await change_log.forget(connection, about, timedelta(hours=1), **nothing)
        assert await change_log.forget(connection, about, timedelta(), **nothing)
    assert _names(await _told(store)) == [None]
