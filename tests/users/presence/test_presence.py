"""Who is there, over the wire: replicas of users on one database, whose clock the test moves.

The replicas share no bus, as if NATS dropped everything: what one does, the others read from the database.
"""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from chatkit.rooms.v1 import role_pb2
from chatkit.users.v1 import presence_event_pb2 as event_pb2
from chatkit.users.v1 import presence_service_pb2 as pb2
from chatkit.users.v1.presence_service_pb2_grpc import PresenceServiceStub

from services.stack.machine.ports import Port
from tests.support import tokens
from tests.support.databases import ROOT, TestDatabase
from tests.support.eventually import HANG_SECONDS, eventually
from tests.support.refusals import refused
from tests.support.suite import ready, settings
from tests.support.tokens import user
from tests.users.presence.watching import OFFLINE, ONLINE, PresenceStream, online
from tests.users.presence.world import GUEST, QUICK, World, two_replicas


@pytest.fixture
async def world(database: TestDatabase, tmp_path: Path) -> AsyncIterator[World]:
    """Run two replicas."""
    async with two_replicas(database, tmp_path) as made:
        yield made


async def test_watchers_on_every_replica_get_the_state_and_then_what_changes(world: World) -> None:
    await online(world.one, "ann")
    for channel in (world.one, world.two):
        stream = PresenceStream(channel, "dan", "cat", "ann", "bob", "ann")
        assert await stream.opened() == {"cat": OFFLINE, "ann": ONLINE, "bob": OFFLINE}
        bob = await online(world.two, "bob")
        assert await stream.change() == ("bob", ONLINE)
        bob.hang_up()
        await world.leaving("bob")
        await world.passes(10)
        assert await stream.change() == ("bob", OFFLINE)


async def test_who_never_was_there_has_no_time_and_others_have_that_of_their_last_change(world: World) -> None:
    await online(world.one, "ann")
    stream = PresenceStream(world.two, "dan", "ann", "bob")
    assert (await stream.next()).HasField("opened")
    ann, bob = (await stream.next()).presence, (await stream.next()).presence
    assert ann.change_time.ToDatetime(world.time.now.tzinfo) >= world.time.now
    assert not bob.HasField("change_time")


async def test_a_stream_may_do_both_and_sees_oneself_online(world: World) -> None:
    stream = PresenceStream(world.one, "ann", "ann", online=True)
    assert await stream.opened() == {"ann": ONLINE}
    watching = PresenceStream(world.two, "bob", "ann")
    assert await watching.opened() == {"ann": ONLINE}


async def test_twenty_flaps_within_the_grace_are_told_as_nothing(world: World) -> None:
    ann = await online(world.one, "ann")
    watching = PresenceStream(world.one, "dan", "ann", "bob")
    assert await watching.opened() == {"ann": ONLINE, "bob": OFFLINE}
    for flap in range(20):
        ann.hang_up()
        await world.leaving("ann")
        await world.passes(1)
        ann = await online(world.two if flap % 2 else world.one, "ann")
    await world.passes(11)
    await online(world.two, "bob")
    # Anything about ann would have come before.
    assert await watching.change() == ("bob", ONLINE)


async def test_a_user_is_online_by_several_devices_on_several_replicas(world: World) -> None:
    devices = [await online(channel, "ann") for channel in (world.one, world.one, world.two)]
    watching = PresenceStream(world.two, "dan", "ann", "bob")
    assert await watching.opened() == {"ann": ONLINE, "bob": OFFLINE}
    for device in devices[:2]:
        device.hang_up()
    await world.leaving("ann")
    await world.passes(11)
    await online(world.one, "bob")
    assert await watching.change() == ("bob", ONLINE)
    devices[2].hang_up()
    await eventually(lambda: world.suite.database.count("users.presence_sessions") == 1)
    await world.passes(10)
    assert await watching.change() == ("ann", OFFLINE)


async def test_a_crowd_that_comes_at_once_is_let_in(world: World) -> None:
    crowd = world.make_crowd(100)
    async with asyncio.timeout(HANG_SECONDS):
        await asyncio.gather(*(online(world.one, user_id) for user_id in crowd))
    assert world.suite.database.count("users.presence_sessions") == len(crowd)


async def test_users_who_do_not_exist_are_all_named(world: World) -> None:
    missing = PresenceStream(world.one, "nobody", "ann", "none", "bob", "no one", online=True)
    error = await refused(missing.call.read(), "USER_NOT_FOUND")
    assert json.loads(error.metadata["user_ids"]) == ["nobody", "none", "no one"]
    other = pb2.SubscribePresenceRequest(user_id="ann")
    await refused(world.suite.presence.SubscribePresence(other, metadata=tokens.user("bob")).read(), "SUBJECT_MISMATCH")
    assert world.suite.database.count("users.presences") == 0


async def test_the_number_of_those_who_are_watched_is_limited(world: World) -> None:
    many = PresenceStream(world.one, "ann", *(f"u{number}" for number in range(1_001)))
    error = await refused(many.call.read(), "LIMIT_EXCEEDED")
    assert error.metadata["limit"] == "WATCHED_USERS"
    as_many_as_may_be = PresenceStream(world.one, "ann", *(f"u{number}" for number in range(1_000)))
    await refused(as_many_as_may_be.call.read(), "USER_NOT_FOUND")


async def _read(channel: grpc.aio.Channel, reader: str, *user_ids: str) -> list[event_pb2.Presence]:
    stub: Any = PresenceServiceStub(channel)
    return list((await stub.GetPresence(pb2.GetPresenceRequest(user_ids=user_ids), metadata=user(reader))).presences)


async def test_presence_is_read_once_in_the_order_asked_for_and_without_the_unknown(world: World) -> None:
    ann = await online(world.one, "ann")
    cat, seen = await _read(world.two, "dan", "cat", "nobody", "ann", "cat", "ann")
    assert (cat.user_id, cat.state, cat.HasField("change_time")) == ("cat", OFFLINE, False)
    assert (seen.user_id, seen.state) == ("ann", ONLINE)
    watching = PresenceStream(world.one, "dan", "ann")
    assert (await watching.next()).HasField("opened")
    assert (await watching.next()).presence == seen
    ann.hang_up()
    await world.leaving("ann")
    await world.passes(10)
    (gone,) = await _read(world.two, "dan", "ann")
    assert gone.state == OFFLINE
    assert gone.change_time.ToNanoseconds() > seen.change_time.ToNanoseconds()
    assert await _read(world.one, "dan", "nobody") == []
    # Nobody was there who only read.
    assert world.ask("state", "dan") is None


async def test_presence_is_read_by_those_who_may_subscribe_and_of_so_many_at_once(world: World) -> None:
    await refused(_read(world.one, "dan"), "FIELD_REQUIRED")
    await refused(_read(world.one, "dan", "ann", ""), "FIELD_REQUIRED")
    await refused(_read(world.one, "dan", "a\nn"), "FIELD_INVALID")
    many = [f"u{number}" for number in range(251)]
    error = await refused(_read(world.one, "dan", *many), "LIMIT_EXCEEDED")
    assert error.metadata["limit"] == "USERS_PER_GET"
    assert await _read(world.one, "dan", *many[1:]) == []
    world.peers.denied["dan"] = {"presence:subscribe"}
    world.peers.change_role((role_pb2.ROLE_SCOPE_GLOBAL, "default"))
    await refused(_read(world.two, "dan", "ann"), "PERMISSION_MISSING")
    by_su = world.suite.presence.GetPresence(pb2.GetPresenceRequest(user_ids=["ann"]), metadata=tokens.su())
    assert [seen.user_id for seen in (await by_su).presences] == ["ann"]


async def test_a_replica_that_stops_ends_its_streams_and_who_goes_elsewhere_was_never_away(world: World) -> None:
    ann = await online(world.two, "ann")
    watching = PresenceStream(world.one, "dan", "ann", "bob")
    assert await watching.opened() == {"ann": ONLINE, "bob": OFFLINE}
    async with asyncio.TaskGroup() as group:
        ending = group.create_task(ann.closed())
        await world.suite.stop("users")
    assert ending.result() == "SHUTTING_DOWN"
    world.living = 1
    # The session and the lease went with it, and not by lapsing.
    assert world.suite.database.count("users.presence_sessions") == 0
    assert world.suite.database.count("users.presence_leases") == 1
    await world.passes(9)
    await online(world.one, "ann")
    await world.passes(20)
    await online(world.one, "bob")
    assert await watching.change() == ("bob", ONLINE)


async def test_streams_end_with_the_permission_and_not_with_rooms(world: World) -> None:
    ann = await online(world.one, "ann")
    bob = await online(world.one, "bob")
    su = PresenceStream(world.one, "", "ann", metadata=tokens.su("dan"))
    assert await su.opened() == {"ann": ONLINE}
    world.peers.unavailable = True
    world.peers.assign("bob", GUEST, denied=["presence:subscribe"])
    await eventually(lambda: world.peers.asked_about["bob"] > 2)
    assert not bob.call.done()
    world.peers.unavailable = False
    assert await bob.closed() == "PERMISSION_MISSING"
    world.peers.change_role((role_pb2.ROLE_SCOPE_GLOBAL, "default"))
    world.peers.assign("ann", GUEST)
    world.peers.change_role(GUEST, denied=["presence:subscribe"])
    assert await ann.closed() == "PERMISSION_MISSING"
    assert not su.call.done()
    refusal = PresenceStream(world.one, "ann", online=True)
    await refused(refusal.call.read(), "PERMISSION_MISSING")


async def test_a_stream_ends_with_its_token(world: World) -> None:
    token = tokens.bearer(tokens.token("ann", ttl=timedelta(minutes=10)))
    stream = PresenceStream(world.one, "ann", online=True, metadata=token)
    assert await stream.opened() == {}
    world.clock.leap(660)
    assert await stream.closed() == "TOKEN_EXPIRED"
    await world.leaving("ann")


@asynccontextmanager
async def _process(world: World, folder: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """Run a replica in a process of its own."""
    port = Port("127.0.0.1")
    told = settings(
        world.suite.database, folder, "users", listen=port.address, rooms_address=world.peers.address, **QUICK
    )
    environment = {
        f"CHATKIT_{name.upper()}": value.get_secret_value() if hasattr(value, "get_secret_value") else str(value)
        for name, value in told
        if name != "limit_overrides" and value is not None
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.users", "serve", cwd=ROOT, env=environment
    )
    try:
        await ready(port.address)
        yield process, port.address
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        port.release()


async def test_a_replica_killed_the_hard_way_leaves_nobody_online(world: World, tmp_path: Path) -> None:
    watching = PresenceStream(world.one, "dan", "ann", "bob")
    assert await watching.opened() == {"ann": OFFLINE, "bob": OFFLINE}
    async with _process(world, tmp_path) as (process, address), grpc.aio.insecure_channel(address) as channel:
        await online(channel, "ann")
        await online(channel, "bob")
        assert {await watching.change(), await watching.change()} == {("ann", ONLINE), ("bob", ONLINE)}
        process.send_signal(signal.SIGKILL)
        await process.wait()
        # Bob finds another replica in time.
        await world.passes(14)
        await online(world.two, "bob")
        await world.passes(2)
        assert await watching.change() == ("ann", OFFLINE)
        await world.passes(10)
        await online(world.two, "cat")
    await online(world.one, "ann")
    assert await watching.change() == ("ann", ONLINE)


async def test_a_replica_that_stood_still_for_a_minute_makes_its_users_online_again(
    world: World, tmp_path: Path
) -> None:
    async with _process(world, tmp_path) as (process, address), grpc.aio.insecure_channel(address) as channel:
        await online(channel, "ann")
        watching = PresenceStream(world.one, "dan", "ann")
        assert await watching.opened() == {"ann": ONLINE}
        process.send_signal(signal.SIGSTOP)
        await world.passes(60)
        assert await watching.change() == ("ann", OFFLINE)
        process.send_signal(signal.SIGCONT)
        assert await watching.change() == ("ann", ONLINE)
