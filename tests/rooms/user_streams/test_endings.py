"""How a SubscribeUser ends: with `closed`, whatever the reason, and what keeps it open meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import psycopg
import pytest
from chatkit.rooms.v1 import role_pb2
from chatkit.rooms.v1 import roles_service_pb2 as roles_pb2
from chatkit.rooms.v1 import rooms_service_pb2 as pb2
from psycopg import sql

from tests.rooms.user_streams.openings import openings
from tests.rooms.user_streams.reading import UserReader, reading, reason
from tests.support import tokens
from tests.support.clock import LeapingClock
from tests.support.databases import TestDatabase
from tests.support.eventually import eventually, until
from tests.support.peers import Peers, serve
from tests.support.refusals import refused
from tests.support.suite import Suite, running
from tests.support.tokens import bearer, su

_PERMISSION = "user:rooms:get"
_GLOBAL = role_pb2.ROLE_SCOPE_GLOBAL


@pytest.fixture
def clock() -> LeapingClock:
    """Lend a clock that can be moved forward."""
    return LeapingClock()


@pytest.fixture
async def rooms(database: TestDatabase, tmp_path: Path, clock: LeapingClock) -> AsyncIterator[Suite]:
    """Run users and rooms, with two users and a room."""
    async with running(database, tmp_path, "users", "rooms", clock=clock) as suite:
        await suite.make_users("alice", "bob")
        await suite.make_room("lobby", "alice", "bob")
        yield suite


async def _rename(suite: Suite, name: str) -> None:
    await suite.rooms.UpdateRoom(pb2.UpdateRoomRequest(room_id="lobby", name=name), metadata=su())


async def _still_told(suite: Suite, stream: UserReader, name: str) -> None:
    """Check that a stream is open, and has had nothing else meanwhile."""
    await _rename(suite, name)
    assert await stream.told(1) == [f"room_updated lobby {name}"]


async def test_a_drain_says_when_to_come_back(rooms: Suite) -> None:
    async with reading(rooms, "alice") as stream, reading(rooms, "bob") as other:
        await stream.until("caught_up")
        await other.until("caught_up")
        await rooms.stop("rooms")
        delays = set()
        for closed in (await stream.closed(), await other.closed()):
            assert reason(closed) == "SHUTTING_DOWN"
            delays.add(closed.retry_after.ToTimedelta())
        assert all(timedelta() < delay <= timedelta(seconds=1) for delay in delays)


async def test_a_token_that_expires_ends_its_stream_and_no_other(rooms: Suite, clock: LeapingClock) -> None:
    short_lived = bearer(tokens.token("bob", ttl=timedelta(seconds=60)))
    async with reading(rooms, "alice") as stream, reading(rooms, "bob", metadata=short_lived) as expiring:
        await stream.until("caught_up")
        await expiring.until("caught_up")
        clock.leap(61)
        closed = await expiring.closed()
        assert (reason(closed), closed.HasField("retry_after")) == ("TOKEN_EXPIRED", True)
        await _still_told(rooms, stream, "Lobby")


async def test_a_database_that_is_another_one_begins_everything_anew(rooms: Suite) -> None:
    async with reading(rooms, "alice") as stream:
        await stream.until("caught_up")
        with psycopg.connect(rooms.database.superuser_dsn) as connection:
            connection.execute("DELETE FROM rooms.changes")
            connection.execute("UPDATE rooms.change_counter SET version = 1")
        closed = await stream.closed()
        assert (reason(closed), closed.HasField("retry_after")) == ("LOG_RESET", True)
    async with reading(rooms, "alice") as stream:
        await stream.until("caught_up")
        await _still_told(rooms, stream, "Lobby")


async def test_a_change_that_only_a_later_release_knows_ends_the_streams_that_it_may_concern(rooms: Suite) -> None:
    await rooms.make_room("hall", "alice")
    async with reading(rooms, "alice") as alice, reading(rooms, "bob") as bob:
        await alice.until("caught_up")
        await bob.until("caught_up")
        change = (
            "WITH moved AS (UPDATE rooms.change_counter SET version = version + 1 RETURNING version)"
            " INSERT INTO rooms.changes (version, kind, room_uid, user_id) SELECT version, 99, {}, {} FROM moved"
        )
        hall = "(SELECT uid FROM rooms.rooms WHERE id = 'hall')"
        with psycopg.connect(rooms.database.superuser_dsn, autocommit=True) as connection:
            connection.execute(change.format(hall, "NULL"))
            assert reason(await alice.closed()) == "LOG_RESET"
            await _still_told(rooms, bob, "Lobby")
            connection.execute(change.format(hall, "'bob'"))
            assert reason(await bob.closed()) == "LOG_RESET"
            async with reading(rooms, "bob") as again:
                await again.until("caught_up")
                connection.execute(change.format("NULL", "NULL"))
                assert reason(await again.closed()) == "LOG_RESET"


async def _change_default(suite: Suite, *, add: str = "", remove: str = "") -> None:
    request = roles_pb2.UpdateRoleRequest(
        scope=_GLOBAL,
        name="default",
        add_permissions=[add] if add else [],
        remove_permissions=[remove] if remove else [],
    )
    await suite.roles.UpdateRole(request, metadata=su())


async def test_a_stream_ends_with_its_permission_and_only_then(rooms: Suite) -> None:
    await rooms.roles.CreateRole(roles_pb2.CreateRoleRequest(scope=_GLOBAL, name="nothing"), metadata=su())
    async with (
        reading(rooms, "alice") as alice,
        reading(rooms, "bob") as bob,
        reading(rooms, "", metadata=su(), of="alice") as above,
    ):
        for stream in (alice, bob, above):
            await stream.until("caught_up")
        # Another permission, another role of somebody else, a role with the same permission: all go on.
        await _change_default(rooms, add="file:get")
        await rooms.assign("bob", "admin")
        for stream in (alice, bob):
            await _rename(rooms, "Lobby")
            assert await stream.told(1) == ["room_updated lobby Lobby"]
        await rooms.assign("bob", "nothing")
        closed = await bob.closed()
        assert (reason(closed), closed.code) == ("PERMISSION_MISSING", grpc.StatusCode.PERMISSION_DENIED.value[0])
        await _change_default(rooms, remove=_PERMISSION)
        assert reason(await alice.closed()) == "PERMISSION_MISSING"
        while (await above.until("room_updated"))[-1].room_updated.name != "Lobby":
            pass
        await refused(_opened(rooms, "alice"), "PERMISSION_MISSING")


async def _opened(suite: Suite, who: str) -> None:
    async with reading(suite, who) as stream:
        await stream.next()


async def test_a_quiet_stream_has_heartbeats_that_say_until_when_it_is_complete(
    rooms: Suite, clock: LeapingClock
) -> None:
    async with reading(rooms, "alice") as stream:
        await stream.until("caught_up")
        opened_at = clock.now()
        for _ in range(2):
            clock.leap(15)
            event = await stream.next()
            assert event.HasField("heartbeat")
            assert opened_at < event.time.ToDatetime(UTC) <= clock.now()


async def test_heartbeats_say_where_a_stream_stands_whomever_changes_concern(rooms: Suite, clock: LeapingClock) -> None:
    async with reading(rooms, "alice") as stream:
        version = (await stream.until("caught_up"))[-1].position.rooms_version
        await rooms.make_room("others", "bob")
        while True:
            clock.leap(15)
            event = await stream.next()
            assert event.HasField("heartbeat")
            if event.position.rooms_version > version:
                break


@contextmanager
def _without(database: TestDatabase) -> Iterator[None]:
    """Let nobody reach the database while the context is open."""
    dsn = database.postgres.dsn("postgres", database.postgres.password, "postgres")
    with psycopg.connect(dsn, autocommit=True) as connection:

        def allow(allowed: str) -> None:
            change = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
            connection.execute(change.format(sql.Identifier(database.name), sql.SQL(allowed)))

        allow("false")
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [database.name])
        try:
            yield
        finally:
            allow("true")


async def test_without_the_database_streams_stay_open_and_say_nothing(rooms: Suite, clock: LeapingClock) -> None:
    async with reading(rooms, "alice") as stream:
        await stream.until("caught_up")
        with _without(rooms.database):
            await refused(_opened(rooms, "bob"), "DATABASE_UNAVAILABLE")
            clock.leap(20)
            event = asyncio.ensure_future(stream.next())
            # Heartbeats are looked at every second: there have been several chances.
            for _ in range(3):
                clock.leap(1)
                await refused(_opened(rooms, "bob"), "DATABASE_UNAVAILABLE")
            assert not event.done()
            back_at = datetime.now(UTC)
        while not (await event).HasField("heartbeat"):
            event = asyncio.ensure_future(stream.next())
        assert (await event).time.ToDatetime(UTC) > back_at
        await _still_told(rooms, stream, "Lobby")


async def test_users_that_is_away_stops_openings_and_nothing_else(rooms: Suite) -> None:
    async with reading(rooms, "alice") as stream:
        await stream.until("caught_up")
        await rooms.stop("users")
        await refused(_opened(rooms, "bob"), "SERVICE_UNAVAILABLE")
        await _still_told(rooms, stream, "Lobby")
        await rooms.start("users", listen=rooms.servers["users"].address)
        await until(lambda: _can_open(rooms, "bob"))
        await _still_told(rooms, stream, "Again")


async def _can_open(suite: Suite, who: str) -> bool:
    try:
        await _opened(suite, who)
    except grpc.aio.AioRpcError as error:
        assert error.code() is grpc.StatusCode.UNAVAILABLE  # noqa: PT017 - until rooms has reached users again
        return False
    return True


async def test_beside_a_users_of_the_release_before_only_streams_of_users_have_to_wait(
    database: TestDatabase, tmp_path: Path
) -> None:
    # It knows neither WatchUsers nor how to tell whole users.
    async with (
        serve(Peers(users={"alice"})) as peers,
        running(database, tmp_path, "rooms", users_address=peers.address) as suite,
    ):
        await suite.make_room("lobby", "alice")
        await refused(_opened(suite, "alice"), "SERVICE_UNAVAILABLE")
        assert suite.servers["rooms"].streams.count == 0


async def test_a_reader_who_stops_is_cut_off_and_others_are_not(database: TestDatabase) -> None:
    async with openings(database) as parts:
        await parts.create("a", "alice", "bob")
        async with parts.reading("alice") as slow, parts.reading("bob") as quick:
            await slow.until("caught_up")
            await quick.until("caught_up")
            # More than a stream may leave unread.
            for number in range(20):
                await parts.rename("a", f"{number} {'x' * 60_000}")
                assert (await quick.next()).room_updated.name.startswith(f"{number} ")
            # Nothing of what waited is sent any more, but why.
            assert reason((await slow.next()).closed) == "SLOW_CONSUMER"
            await parts.rename("a", "A")
            assert (await quick.next()).room_updated.name == "A"


async def test_whoever_goes_leaves_nothing_behind(rooms: Suite) -> None:
    streams = rooms.servers["rooms"].streams
    for _ in range(3):
        async with reading(rooms, "alice") as stream:
            await stream.until("caught_up")
        # The one of users, which follows the changes of access.
        await eventually(lambda: streams.count == 1)
