"""What a stream of presence is given: every change above its state once, heartbeats, and why it ends. No database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from chatkit.contract.v1 import method_policy_pb2
from chatkit.users.v1 import presence_event_pb2 as event_pb2
from chatkit.users.v1 import presence_service_pb2 as pb2

from services.runtime.access.port import AccessQuery
from services.runtime.contract.errors import Aborted, ChatkitError, ResourceExhausted, Unavailable
from services.runtime.data.change_feed import FeedUpdate
from services.runtime.identity.tokens import Caller
from services.runtime.ids import NO_ROOM, UserId
from services.runtime.steps import MOST_AT_ONCE, WAKING
from services.runtime.streaming.event_queue import EventQueue
from services.runtime.streaming.live_event import LiveEvent
from services.users.model import Change, ChangeKind
from services.users.presence.hub import PresenceHub, PresenceSubscription, Topic
from tests.support.clock import ManualClock
from tests.support.eventually import HANG_SECONDS
from tests.support.peers import user_uid_of as uid_of
from tests.support.turns import Turns
from tests.users.presence.hand_feed import HandFeed, change, changes_of


class _World:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.feed = HandFeed()
        self.hub = PresenceHub(cast("Any", self.feed), self.clock, heartbeat_interval=15.0, retry_interval=0.5)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.hub.run())
        try:
            async with asyncio.timeout(HANG_SECONDS):
                yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def subscription(self, *watched: str) -> PresenceSubscription:
        """Register a stream that has not read its state yet."""
        caller = Caller(UserId("dan"), False, None, datetime(2027, 1, 1, tzinfo=UTC))
        query = AccessQuery(
            NO_ROOM, UserId("dan"), False, method_policy_pb2.MEMBERSHIP_NOT_REQUIRED, "presence:subscribe"
        )
        made = PresenceSubscription(EventQueue(caller, self.clock), query, self.clock)
        self.hub.join(made)
        await self.hub.watch(made, {user_id: uid_of(user_id) for user_id in watched})
        return made


@pytest.fixture
def world() -> _World:
    """Lend a hub."""
    return _World()


def _queue(subscription: PresenceSubscription) -> EventQueue:
    return cast("EventQueue", subscription.queue)


async def _events(subscription: PresenceSubscription) -> list[event_pb2.PresenceEvent]:
    """Return what waits for a stream."""
    frames = _queue(subscription).frames()
    taken = await asyncio.wait_for(anext(frames), HANG_SECONDS)
    await cast("Any", frames).aclose()
    return list(pb2.SubscribePresenceResponse.FromString(taken).events)


async def _told(subscription: PresenceSubscription) -> list[str]:
    return [event.presence_changed.user_id for event in await _events(subscription)]


async def _end(subscription: PresenceSubscription) -> ChatkitError:
    with pytest.raises(ChatkitError) as ending:
        async for _ in _queue(subscription).frames():
            pass
    return ending.value


@pytest.mark.parametrize("version", range(2, 7))
async def test_a_stream_is_given_what_its_state_does_not_know_once_whatever_came_first(
    world: _World, version: int
) -> None:
    async with world.running():
        await world.feed.tell(FeedUpdate(2))
        subscription = await world.subscription("a", "b", "c", "d", "e")
        # Changes 3 and 4 come before the state is read, 5 and 6 after that.
        await world.feed.tell(changes_of(change(3, "a"), change(4, "b")))
        subscription.start(version, [])
        await world.feed.tell(changes_of(change(5, "c")), changes_of(change(6, "d"), change(7, "e")))
    assert await _told(subscription) == ["a", "b", "c", "d", "e"][version - 2 :]


async def test_changes_go_to_those_who_watch_the_user_until_they_leave(world: _World) -> None:
    async with world.running():
        await world.feed.tell(FeedUpdate(1))
        streams = {user_id: await world.subscription(user_id) for user_id in ("a", "b", "c")}
        for stream in streams.values():
            stream.start(1, [])
        world.hub.leave(streams["c"])
        await world.feed.tell(
            changes_of(change(2, "a"), change(3, "b"), change(4, "a", ChangeKind.USER_OFFLINE), change(5, "c")),
            changes_of(change(6, "a", ChangeKind.USER_UPDATED), change(7, "a", ChangeKind.UNKNOWN)),
        )
    events = await _events(streams["a"])
    states = [(event.presence_changed.user_id, event.presence_changed.state) for event in events]
    assert states == [("a", event_pb2.PRESENCE_STATE_ONLINE), ("a", event_pb2.PRESENCE_STATE_OFFLINE)]
    assert await _told(streams["b"]) == ["b"]
    assert not streams["c"].topics
    # One for each frame.
    assert sum(world.hub.ages.counts) == 2


async def test_nobody_watches_before_the_changes_are_followed(world: _World) -> None:
    async with world.running():
        watching = asyncio.create_task(world.subscription("a"))
        await world.clock.advance(1)
        assert not watching.done()
        await world.feed.tell(FeedUpdate(7))
        await watching


async def test_the_changes_are_followed_on_from_where_they_broke_off(world: _World) -> None:
    async with world.running():
        await world.feed.tell(FeedUpdate(3))
        subscription = await world.subscription("a", "b")
        subscription.start(3, [])
        await world.feed.tell(changes_of(change(4, "a")), Unavailable("DATABASE_UNAVAILABLE", "away"))
        while len(world.feed.followed_after) == 1:
            await world.clock.advance(0.5)
        await world.feed.tell(changes_of(change(5, "b")))
    assert world.feed.followed_after == [0, 4]
    assert await _told(subscription) == ["a", "b"]


@pytest.mark.parametrize("gap", [FeedUpdate(9, is_reset=True), FeedUpdate(9)])
async def test_missed_changes_end_the_streams_that_were_owed_them(world: _World, gap: FeedUpdate[Change]) -> None:
    async with world.running():
        await world.feed.tell(FeedUpdate(3))
        watching, online = await world.subscription("a"), await world.subscription()
        watching.start(3, [])
        online.start(0, [])
        await world.feed.tell(gap)
        ending = await _end(watching)
    assert isinstance(ending, Aborted)
    assert (ending.reason, online.queue.error) == ("LOG_RESET", None)


async def test_heartbeats_say_until_when_all_was_told(world: _World) -> None:
    async with world.running():
        await world.feed.tell(FeedUpdate(1))
        watching, online = await world.subscription("a"), await world.subscription()
        watching.start(1, [b""])
        online.start(0, [b""])
        await world.clock.advance(12.5)
        await world.feed.tell(FeedUpdate(1, elapsed_ms=12_000))
        await world.clock.advance(4)
        (heard,) = await _events(watching)
        assert heard.HasField("heartbeat")
        assert heard.time.ToDatetime(UTC) == datetime(2026, 1, 1, second=12, tzinfo=UTC)
        (alive,) = await _events(online)
        assert alive.time.ToDatetime(UTC) == datetime(2026, 1, 1, second=15, tzinfo=UTC)
        # The database is away: who watches is told nothing, and who does not is still alive.
        await world.clock.advance(30)
        assert len(await _events(online)) == 2
        assert not _queue(watching)._waiting


async def test_who_does_not_read_is_cut_off(world: _World) -> None:
    async with world.running():
        await world.feed.tell(FeedUpdate(1))
        long = "a" * 160
        slow, others = await world.subscription(long), await world.subscription("b")
        slow.start(1, [])
        others.start(1, [])
        many = [change(number, long) for number in range(2, 6_000)]
        await world.feed.tell(changes_of(*many), changes_of(change(6_000, "b")))
        ending = await _end(slow)
        assert isinstance(ending, ResourceExhausted)
        assert await _told(others) == ["b"]


async def test_a_state_that_takes_too_long_to_read_ends_the_stream(world: _World) -> None:
    async with world.running():
        await world.feed.tell(FeedUpdate(1))
        slow = await world.subscription("a")
        await world.feed.tell(changes_of(*(change(number, "a") for number in range(2, 10_010))))
        assert slow.queue.error is not None


async def test_a_subscriber_of_ten_streams_is_found_until_the_last_has_left(world: _World) -> None:
    async with world.running():
        await world.feed.tell(FeedUpdate(1))
        streams = [await world.subscription("a") for _ in range(10)]
        assert set(world.hub.subscriptions_of("dan")) == set(streams)
        for stream in streams:
            world.hub.leave(stream)
            assert not world.hub.has(stream)
    assert world.hub.subscriptions() == []


async def test_a_user_whom_very_many_watch_is_told_of_in_steps(world: _World) -> None:
    class Noting(PresenceSubscription):
        def offer(self, topic: Topic, version: int, event: bytes, live: LiveEvent | None = None) -> None:
            turns.note()
            super().offer(topic, version, event, live)

    caller = Caller(UserId("dan"), False, None, datetime(2027, 1, 1, tzinfo=UTC))
    async with Turns() as turns, world.running():
        await world.feed.tell(FeedUpdate(1))
        watching = [Noting(EventQueue(caller, world.clock), None, world.clock) for _ in range(1_000)]
        for one in watching:
            world.hub.join(one)
            await world.hub.watch(one, {"bob": uid_of("bob")})
            one.start(1, [])
        await world.feed.tell(changes_of(change(2, "bob"), change(3, "bob", ChangeKind.USER_OFFLINE)))
        assert (turns.noted, turns.most) == (2_000, MOST_AT_ONCE // WAKING)
        # Each has both, in their order.
        assert all(len(_queue(one)._waiting) == 2 for one in watching)
        world.hub.end_all(lambda: Unavailable("SHUTTING_DOWN", ""))
        # Which ones come first is a matter of the set that they stand in.
        assert sum(one.queue.error is not None for one in watching) == MOST_AT_ONCE // WAKING
        await turns.until(lambda: all(one.queue.error is not None for one in watching))


async def test_a_change_that_is_on_its_way_to_many_is_not_told_to_who_has_just_stopped_watching(world: _World) -> None:
    async with Turns() as turns, world.running():
        await world.feed.tell(FeedUpdate(1))
        streams = [await world.subscription("a") for _ in range(1_000)]
        for one in streams:
            one.start(1, [])
        telling = asyncio.create_task(world.feed.tell(changes_of(change(2, "a"))))
        await turns.until(lambda: any(_queue(one)._waiting for one in streams))
        late = [one for one in streams if not _queue(one)._waiting]
        assert late
        for one in late:
            world.hub.unwatch(one, list(one.topics))
        await telling
        assert not any(_queue(one)._waiting for one in late)
