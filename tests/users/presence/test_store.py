"""Leases, sessions and reaping against a real database whose clock the test moves; no loop runs by itself."""

import asyncio
import random
from collections.abc import AsyncIterator

import psycopg
import pytest

from services.users.model import PresenceState
from services.users.presence.store import LeaseLostError
from tests.support.databases import TestDatabase
from tests.support.eventually import HANG_SECONDS, eventually
from tests.users.presence.replicas import GRACE, LEASE, OFFLINE, ONLINE, Replica, World


@pytest.fixture
async def world(database: TestDatabase) -> AsyncIterator[World]:
    """Lend a world."""
    made = World(database)
    yield made
    await made.database.close()


async def _living(world: World, count: int) -> list[Replica]:
    """Start replicas, and let them hold their leases for long enough to reap."""
    replicas = [world.replica() for _ in range(count)]
    for replica in replicas:
        await replica.sessions.renew()
    await world.passes(6, *replicas)
    return replicas


async def test_a_user_is_online_until_the_grace_after_the_last_stream_is_over(world: World) -> None:
    (one,) = await _living(world, 1)
    assert await world.state("ann") is None
    await world.enter(one, "ann")
    assert await world.state("ann") is PresenceState.ONLINE
    await world.passes(30, one)
    await world.leave(one, "ann")
    await world.passes(9, one)
    assert await world.state("ann") is PresenceState.ONLINE
    await world.passes(1, one)
    assert await world.state("ann") is PresenceState.OFFLINE
    assert await world.told("ann") == [ONLINE, OFFLINE]


async def test_who_left_while_the_databases_clock_was_an_hour_ahead_is_offline_soon_after_it_is_right(
    world: World,
) -> None:
    one, two = await _living(world, 2)
    await world.enter(one, "ann")
    await world.enter(two, "bob", "eve")
    world.time.advance(3_600)
    await world.passes(1, one, two)
    await world.leave(one, "ann")
    world.time.advance(-3_600)
    # From here on the second replica is dead; the first one's lease must be a period old before it may reap.
    await world.passes(2 * LEASE.seconds, one)
    assert await world.state("ann") is PresenceState.OFFLINE
    await world.passes(GRACE.seconds, one)
    assert await world.state("bob") is PresenceState.OFFLINE
    assert await world.told("bob") == [ONLINE, OFFLINE]


async def test_flaps_within_the_grace_are_no_changes(world: World) -> None:
    one, two = await _living(world, 2)
    await world.enter(one, "ann")
    for flap in range(20):
        at, then = (one, two) if flap % 2 else (two, one)
        await world.leave(then, "ann")
        await world.passes(9, one, two)
        await world.enter(at, "ann")
    await world.passes(30, one, two)
    assert await world.state("ann") is PresenceState.ONLINE
    assert await world.told("ann") == [ONLINE]


async def test_a_user_stays_online_by_any_device_on_any_replica(world: World) -> None:
    one, two = await _living(world, 2)
    await world.enter(one, "ann")
    await world.enter(two, "ann")
    await world.leave(one, "ann")
    await world.passes(30, one, two)
    assert await world.told("ann") == [ONLINE]
    await world.leave(two, "ann")
    await world.passes(10, one, two)
    assert await world.told("ann") == [ONLINE, OFFLINE]


async def test_a_replica_that_is_gone_leaves_nobody_online_for_longer_than_lease_and_grace(world: World) -> None:
    one, two = await _living(world, 2)
    await world.enter(one, "ann", "bob")
    await world.enter(two, "bob")
    await world.passes((LEASE + GRACE).seconds - 1, two)
    assert await world.state("ann") is PresenceState.ONLINE
    await world.passes(1, two)
    assert await world.told("ann") == [ONLINE, OFFLINE]
    assert await world.told("bob") == [ONLINE]
    assert world.rows.count("users.presence_leases") == 1
    assert world.rows.count("users.presence_sessions") == 1


async def test_who_comes_back_elsewhere_after_a_replica_died_was_never_away(world: World) -> None:
    one, two = await _living(world, 2)
    await world.enter(one, "ann")
    await world.passes(14, two)
    await world.enter(two, "ann")
    await world.passes(60, two)
    assert await world.told("ann") == [ONLINE]


async def test_the_last_device_gives_its_grace_although_a_dead_replica_held_another(world: World) -> None:
    one, two = await _living(world, 2)
    await world.enter(one, "ann")
    await world.enter(two, "ann")
    # Everything stands still for an hour; then only one comes back, and the user's device there goes.
    world.time.advance(3600)
    await world.passes(1, two)
    await world.leave(two, "ann")
    await world.passes(9, two)
    assert world.rows.count("users.presence_leases") == 1
    assert await world.state("ann") is PresenceState.ONLINE
    await world.passes(1, two)
    assert await world.state("ann") is PresenceState.OFFLINE


async def test_a_database_that_was_away_for_longer_than_the_lease_takes_nobody_offline(world: World) -> None:
    one, two = await _living(world, 2)
    await world.enter(one, "ann", "cat")
    await world.enter(two, "bob")
    await world.leave(one, "cat")
    # Nobody reaches the database for an hour, in which all leases lapse at once; then one replica is quicker.
    world.time.advance(3600)
    await world.passes(4, one)
    assert await world.told("bob") == [ONLINE]
    # Cat has tried to come back all the time, too.
    await world.enter(two, "cat")
    await world.passes(60, one, two)
    for user_id in ("ann", "bob", "cat"):
        assert await world.told(user_id) == [ONLINE]


async def test_a_replica_that_has_just_come_takes_nobody_offline(world: World) -> None:
    (one,) = await _living(world, 1)
    await world.enter(one, "ann")
    await world.leave(one, "ann")
    world.time.advance(60)
    two = world.replica()
    await world.passes(5, two)
    assert await world.told("ann") == [ONLINE]
    await world.passes(1, two)
    assert await world.told("ann") == [ONLINE, OFFLINE]


async def test_a_replica_that_stood_still_makes_its_users_online_again(world: World) -> None:
    one, two = await _living(world, 2)
    running = asyncio.create_task(one.sessions.run())
    async with asyncio.timeout(HANG_SECONDS), one.sessions.online(world.user("ann"), "ann"):
        await world.passes(16, two)
        assert await world.told("ann") == [ONLINE, OFFLINE]
        await one.sessions.renew()
        await eventually(lambda: world.rows.count("users.presence_sessions") == 1)
        assert await world.told("ann") == [ONLINE, OFFLINE, ONLINE]
        await world.passes(20, one, two)
    await eventually(lambda: world.rows.count("users.presence_sessions") == 0)
    await world.passes(11, one, two)
    assert await world.told("ann") == [ONLINE, OFFLINE, ONLINE, OFFLINE]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_lease_that_is_taken_from_under_an_opening_is_noticed_by_it(world: World) -> None:
    one, two = await _living(world, 2)
    await world.passes(6, two)
    with pytest.raises(LeaseLostError):
        await world.enter(one, "ann")
    assert await world.told("ann") == []


async def test_replicas_that_open_close_and_reap_at_once_neither_deadlock_nor_lose_anybody(world: World) -> None:
    replicas = await _living(world, 2)
    user_ids = [f"u{number}" for number in range(12)]
    chance = random.Random(4)
    uids = {user_id: world.user(user_id) for user_id in user_ids}
    over = asyncio.Event()

    async def flap(replica: Replica, user_id: str) -> None:
        for _ in range(8):
            async with replica.sessions.online(uids[user_id], user_id):
                assert await world.state(user_id) is PresenceState.ONLINE
            await asyncio.sleep(chance.random() / 100)

    async def time() -> None:
        while not over.is_set():
            world.time.advance(1)
            for replica in replicas:
                await replica.sessions.renew()
            await asyncio.gather(*(replica.sessions.reap() for replica in replicas))

    async with asyncio.timeout(HANG_SECONDS), asyncio.TaskGroup() as group:
        writing = [asyncio.create_task(replica.sessions.run()) for replica in replicas]
        passing = group.create_task(time())
        async with asyncio.TaskGroup() as flaps:
            for user_id in user_ids:
                for replica in replicas:
                    flaps.create_task(flap(replica, user_id))
        over.set()
        await passing
        await eventually(lambda: world.rows.count("users.presence_sessions") == 0)
        await world.passes(11, *replicas)
        for task in writing:
            task.cancel()
        await asyncio.gather(*writing, return_exceptions=True)
    for user_id in user_ids:
        told = await world.told(user_id)
        assert told == [ONLINE, OFFLINE] * (len(told) // 2)
        assert told
    with psycopg.connect(world.rows.superuser_dsn) as connection:
        query = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        assert connection.execute(query).fetchone() == (0,)
