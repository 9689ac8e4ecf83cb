"""Followers on one feed are told what a stream each would tell them, and end one by one or all at once."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from chatkit.contract.v1 import error_reason_pb2
from chatkit.internal.feeds.v1 import feed_pb2
from chatkit.internal.feeds.v1 import presence_feed_service_pb2 as pb2

from tests.support.databases import TestDatabase
from tests.support.eventually import HANG_SECONDS
from tests.users.presence.feeding import PresenceFeedStream
from tests.users.presence.watching import OFFLINE, ONLINE, PresenceStream, online
from tests.users.presence.world import GUEST, World, two_replicas


@pytest.fixture
async def world(database: TestDatabase, tmp_path: Path) -> AsyncIterator[World]:
    """Run two replicas."""
    async with two_replicas(database, tmp_path) as made:
        yield made


async def test_followers_are_online_and_told_of_others_each_by_themselves(world: World) -> None:
    feed = PresenceFeedStream(world.one)
    ann = await feed.follow("ann", online=True)
    assert await ann.opened() == {}
    bob = await feed.follow("bob", "ann", "cat")
    assert await bob.opened() == {"ann": ONLINE, "cat": OFFLINE}
    dan = await feed.follow("dan", "cat", online=True)
    assert await dan.opened() == {"cat": OFFLINE}
    stream = PresenceStream(world.two, "cat", "ann", "dan", online=True)
    assert await stream.opened() == {"ann": ONLINE, "dan": ONLINE}
    assert await bob.change() == ("cat", ONLINE)
    assert await dan.change() == ("cat", ONLINE)
    assert not ann.has_more


async def test_a_follower_who_leaves_is_offline_after_the_grace_and_told_nothing_more(world: World) -> None:
    feed = PresenceFeedStream(world.one)
    ann, also_ann = await feed.follow("ann", "bob", online=True), await feed.follow("ann", "bob", online=True)
    assert await ann.opened() == await also_ann.opened() == {"bob": OFFLINE}
    watching = PresenceStream(world.two, "dan", "ann")
    assert await watching.opened() == {"ann": ONLINE}
    await ann.leave()
    await also_ann.leave()
    await world.leaving("ann")
    await online(world.two, "bob")
    await world.passes(9)
    cat = await feed.follow("cat", "bob", "ann")
    assert await cat.opened() == {"bob": ONLINE, "ann": ONLINE}
    assert not ann.has_more
    await world.passes(1)
    assert await watching.change() == ("ann", OFFLINE)
    assert await cat.change() == ("ann", OFFLINE)


async def test_whoever_may_not_is_refused_and_the_others_go_on(world: World) -> None:
    feed = PresenceFeedStream(world.one)
    ann, su = await feed.follow("ann", "cat", online=True), await feed.follow("dan", "cat", superuser=True)
    assert await ann.opened() == await su.opened() == {"cat": OFFLINE}
    assert await (await feed.follow("nobody", "ann", online=True)).refused() == "USER_NOT_FOUND"
    assert await (await feed.follow("bob", "no one")).refused() == "USER_NOT_FOUND"
    assert await (await feed.follow("")).refused() == "FIELD_REQUIRED"
    assert await (await feed.follow("bob", "a\0b")).refused() == "FIELD_INVALID"
    assert await (await feed.follow("bob", *(f"u{number}" for number in range(1_001)))).refused() == "LIMIT_EXCEEDED"
    world.peers.assign("bob", GUEST, denied=["presence:subscribe"])
    assert await (await feed.follow("bob", online=True)).refused() == "PERMISSION_MISSING"
    assert world.ask("state", "bob") is None
    cat = await online(world.two, "cat")
    assert await ann.change() == await su.change() == ("cat", ONLINE)
    world.peers.assign("ann", GUEST, denied=["presence:subscribe"])
    world.peers.assign("dan", GUEST, denied=["presence:subscribe"])
    assert await ann.refused() == "PERMISSION_MISSING"
    await world.leaving("ann")
    cat.hang_up()
    await world.leaving("cat")
    await world.passes(10)
    assert await su.change() in {("cat", OFFLINE), ("ann", OFFLINE)}
    assert not ann.has_more


async def test_whom_a_follower_watches_can_be_changed(world: World) -> None:
    feed = PresenceFeedStream(world.one)
    ann = await feed.follow("ann", "bob")
    assert await ann.opened() == {"bob": OFFLINE}
    await online(world.two, "cat")
    assert await ann.watch("cat", "bob", "dan") == {"cat": ONLINE, "dan": OFFLINE}
    assert await ann.watch("cat") == {}
    await online(world.two, "dan")
    assert await ann.change() == ("dan", ONLINE)
    assert await ann.watch("bob", unwatch=("dan", "bob", "who")) == {}
    error = await ann.not_watched("dan", "no one")
    assert (error.reason, dict(error.metadata)) == (error_reason_pb2.USER_NOT_FOUND, {"user_ids": '["no one"]'})
    assert await ann.watch("dan") == {"dan": ONLINE}
    await online(world.two, "bob")
    assert await ann.change() == ("bob", ONLINE)


async def test_a_follower_watches_no_more_than_a_stream_may(world: World) -> None:
    world.make_crowd(1_001)
    feed = PresenceFeedStream(world.one)
    ann = await feed.follow("ann", *(f"u{number}" for number in range(999)))
    assert len(await ann.opened()) == 999
    error = await ann.not_watched("u999", "u1000")
    assert error.reason == error_reason_pb2.QUOTA_EXCEEDED
    assert dict(error.metadata) == {"limit": "WATCHED_USERS", "maximum": "1000", "actual": "1001"}
    assert await ann.watch("u999") == {"u999": OFFLINE}
    assert await ann.watch("u1000", unwatch=("u0",)) == {"u1000": OFFLINE}
    await online(world.two, "u0")
    await online(world.two, "u1000")
    assert await ann.change() == ("u1000", ONLINE)


async def test_a_crowd_of_followers_that_comes_at_once_is_let_in(world: World) -> None:
    crowd = world.make_crowd(100)
    feed = PresenceFeedStream(world.one)
    followers = await feed.follow_all([(user_id, ("ann",)) for user_id in crowd], online=True)
    for follower in followers:
        assert await follower.opened() == {"ann": OFFLINE}
    # Rooms was asked about many of them together.
    assert sum(world.peers.asked_together) == len(crowd)
    assert len(world.peers.asked_together) < len(crowd) // 4
    assert world.peers.checks == 0
    assert world.suite.database.count("users.presence_sessions") == len(crowd)
    await online(world.two, "ann")
    for follower in followers:
        assert await follower.change() == ("ann", ONLINE)


async def test_a_feed_that_is_lost_leaves_its_users_online_for_the_grace(world: World) -> None:
    feed = PresenceFeedStream(world.one)
    followers = await feed.follow_all([("ann", ()), ("bob", ())], online=True)
    for follower in followers:
        await follower.opened()
    watching = PresenceStream(world.two, "dan", "ann", "bob")
    assert await watching.opened() == {"ann": ONLINE, "bob": ONLINE}
    feed.hang_up()
    await world.leaving("ann")
    await world.leaving("bob")
    await world.passes(9)
    again = await PresenceFeedStream(world.two).follow("bob", "ann", online=True)
    assert await again.opened() == {"ann": ONLINE}
    await world.passes(1)
    assert await watching.change() == await again.change() == ("ann", OFFLINE)
    await world.passes(20)
    await online(world.one, "ann")
    assert await watching.change() == ("ann", ONLINE)


async def test_a_feed_ends_with_its_process_and_by_what_makes_no_sense(world: World) -> None:
    twice = PresenceFeedStream(world.one)
    ann = await twice.follow("ann")
    assert await ann.opened() == {}
    followers = [pb2.PresenceFollower(follower=feed_pb2.Follower(number=ann.number, user_id="ann"))]
    await twice.send(pb2.FollowPresenceRequest(follow=followers))
    await twice.ended("FIELD_INVALID")
    unnumbered = PresenceFeedStream(world.one)
    followers = [pb2.PresenceFollower(follower=feed_pb2.Follower(user_id="ann"))]
    await unnumbered.send(pb2.FollowPresenceRequest(follow=followers))
    await unnumbered.ended("FIELD_INVALID")
    over = PresenceFeedStream(world.one)
    bob = await over.follow("bob", online=True)
    assert await bob.opened() == {}
    await over.call.done_writing()
    async with asyncio.timeout(HANG_SECONDS):
        await asyncio.wait({over.reading})
    assert await over.call.code() == grpc.StatusCode.OK
    await world.leaving("bob")
    # The second replica stops: what is said is the reason, and the grace lets others go on.
    feed = PresenceFeedStream(world.two)
    cat = await feed.follow("cat", online=True)
    assert await cat.opened() == {}
    await world.suite.stop("users")
    error = await feed.ended("SHUTTING_DOWN")
    assert error.retry_after is not None


async def test_a_heartbeat_says_each_second_until_when_all_was_told(world: World) -> None:
    feed = PresenceFeedStream(world.one)
    ann = await feed.follow("ann", "bob")
    assert await ann.opened() == {"bob": OFFLINE}
    async with asyncio.timeout(HANG_SECONDS):
        first, second = await feed.heartbeats.get(), await feed.heartbeats.get()
    assert 0 < first < second
    assert not ann.has_more
