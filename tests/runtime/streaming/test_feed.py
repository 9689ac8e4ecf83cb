"""A feed tells each follower's events in order, refuses one without the others, and ends when nobody reads it."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from chatkit.contract.v1 import error_reason_pb2
from chatkit.internal.feeds.v1 import presence_feed_service_pb2, user_feed_service_pb2
from chatkit.users.v1 import presence_event_pb2, presence_service_pb2
from google.protobuf.message import Message

from services.runtime.contract.errors import ChatkitError, PermissionDenied
from services.runtime.contract.wire import counted, embedded
from services.runtime.metrics.distribution import Distribution
from services.runtime.streaming.feed import Feed, FollowerQueue
from services.runtime.streaming.live_event import LiveEvent
from tests.support.clock import ManualClock

_MOST_WAITING_BYTES = 16 * 1024 * 1024


class _Read:
    """A feed, and what was read of it."""

    def __init__(self, response: Callable[[bytes], Message] | None = None) -> None:
        self.clock = ManualClock()
        self.refused: list[int] = []
        self.feed = Feed(self.clock, self.refused.append)
        self._decode = response or presence_feed_service_pb2.FollowPresenceResponse.FromString
        self._frames = aiter(self.feed.queue.frames())

    def follower(self, number: int) -> FollowerQueue:
        follower = FollowerQueue(self.feed, number)
        follower.open(0, [])
        return follower

    async def frame(self) -> Any:
        """Return the next frame, decoded."""
        reading = asyncio.ensure_future(anext(self._frames))
        while not reading.done():
            await self.clock.advance(0.004)
        return self._decode(reading.result())

    async def told(self) -> list[tuple[int, str]]:
        """Return what the next frame tells: the follower, and the users of its events or the name of what else."""
        found: list[tuple[int, str]] = []
        for event in (await self.frame()).events:
            kind = event.WhichOneof("event")
            if kind != "events":
                found.append((event.number, kind))
                continue
            events = presence_service_pb2.SubscribePresenceResponse.FromString(event.events).events
            found.extend((event.number, one.presence.user_id) for one in events)
        return found


def _event(user_id: str) -> bytes:
    presence = presence_event_pb2.Presence(user_id=user_id)
    event = presence_event_pb2.PresenceEvent(presence=presence)
    return presence_service_pb2.SubscribePresenceResponse(events=[event]).SerializeToString()


def _refusal() -> ChatkitError:
    return PermissionDenied("PERMISSION_MISSING", "no", metadata={"permission": "presence:subscribe"})


@pytest.mark.parametrize(
    "response",
    [presence_feed_service_pb2.FollowPresenceResponse, user_feed_service_pb2.FollowUsersResponse],
)
async def test_the_responses_of_all_feeds_have_the_same_numbers(response: type[Message]) -> None:
    read = _Read(response.FromString)
    follower = read.follower(300)
    follower.push(0, _event("alice"))
    follower.end(_refusal())
    read.feed.beat(read.clock.monotonic() + 1.5)
    told, refused, heartbeat = (await read.frame()).events
    assert (told.number, told.events) == (300, _event("alice"))
    assert (refused.number, refused.refused.reason) == (300, error_reason_pb2.PERMISSION_MISSING)
    assert refused.refused.metadata == {"permission": "presence:subscribe"}
    assert (heartbeat.number, heartbeat.heartbeat.elapsed_ms) == (0, 1500)


async def test_events_of_a_state_are_put_together_and_those_of_one_follower_stay_in_order() -> None:
    read = _Read()
    one, other = FollowerQueue(read.feed, 1), FollowerQueue(read.feed, 2)
    one.push(0, _event("early"))
    one.open(0, [(0, _event("a")), (0, _event("b"))])
    other.open(0, [(0, _event("c"))])
    one.push(0, _event("d"))
    frame = await read.frame()
    assert len(frame.events) == 3
    assert [one.number for one in frame.events] == [1, 2, 1]


async def test_a_live_event_of_a_follower_is_told_when_it_is_taken() -> None:
    read = _Read()
    follower = FollowerQueue(read.feed, 1)
    follower.open(0, [])
    ages = Distribution([1, 2])
    follower.push(0, _event("a"), live=LiveEvent(read.clock.now(), ages))
    read.clock.jump(1.5)
    await anext(read.feed.queue.frames())
    assert (ages.counts, ages.sum) == ([0, 1, 0], 1.5)


async def test_an_ending_comes_behind_what_waits_and_nothing_behind_it() -> None:
    read = _Read()
    one, other = read.follower(1), read.follower(2)
    one.push(0, _event("a"))
    one.end(_refusal())
    one.end(_refusal())
    one.push(0, _event("b"))
    other.push(0, _event("c"))
    assert await read.told() == [(1, "a"), (1, "refused"), (2, "c")]
    assert read.refused == [1]


async def test_a_cut_drops_what_waits_for_that_follower_only_and_is_told_before_all_else() -> None:
    read = _Read()
    one, other = read.follower(1), read.follower(2)
    other.push(0, _event("a"))
    one.push(0, _event("b"))
    other.push(0, _event("c"))
    one.cut(_refusal())
    assert await read.told() == [(1, "refused"), (2, "a"), (2, "c")]
    assert read.refused == [1]


@pytest.mark.parametrize("drop", [lambda one: one.cut(_refusal()), lambda one: one.hold()], ids=["cut", "hold"])
async def test_who_has_ended_and_may_not_be_told_more_is_refused_once_and_first(
    drop: Callable[[FollowerQueue], None],
) -> None:
    read = _Read()
    one, other = read.follower(1), read.follower(2)
    other.push(0, _event("a"))
    one.push(0, _event("b"))
    one.end(_refusal())
    drop(one)
    assert await read.told() == [(1, "refused"), (2, "a")]
    # It was told already.
    drop(one)
    other.push(0, _event("c"))
    assert await read.told() == [(2, "c")]
    assert read.refused == [1]
    assert read.feed.holding == set()


async def test_who_leaves_is_told_nothing_more() -> None:
    read = _Read()
    one, other = read.follower(1), read.follower(2)
    one.push(0, _event("a"))
    one.leave()
    one.push(0, _event("b"))
    one.end(_refusal())
    other.push(0, _event("c"))
    assert await read.told() == [(2, "c")]
    assert read.refused == []


async def test_what_is_kept_back_goes_when_it_may_in_its_order() -> None:
    read = _Read()
    one, other = read.follower(1), read.follower(2)
    one.push(0, _event("a"))
    one.hold()
    one.push(0, _event("b"))
    other.push(0, _event("c"))
    assert await read.told() == [(2, "c")]
    one.push(0, _event("d"))
    one.release()
    assert await read.told() == [(1, "a"), (1, "b"), (1, "d")]


async def test_who_is_refused_while_held_is_not_told_what_was_kept_back() -> None:
    read = _Read()
    one, other = read.follower(1), read.follower(2)
    one.hold()
    one.push(0, _event("a"))
    other.push(0, _event("b"))
    assert await read.told() == [(2, "b")]
    one.end(_refusal())
    assert await read.told() == [(1, "refused")]
    assert read.feed.holding == set()


async def test_those_who_are_held_give_way_to_the_others() -> None:
    read = _Read()
    one, other = read.follower(1), read.follower(2)
    one.hold()
    half = embedded(2, b"x" * (_MOST_WAITING_BYTES // 2))
    one.send(half)
    other.push(0, _event("a"))
    assert await read.told() == [(2, "a")]
    other.send(half)
    assert read.feed.queue.error is None
    assert read.refused == [1]
    assert (1, "refused") in [(event.number, event.WhichOneof("event")) for event in await _all(read, 2)]


async def test_a_feed_that_nobody_reads_ends_when_too_much_waits() -> None:
    read = _Read()
    follower = read.follower(1)
    follower.send(embedded(2, b"x" * (_MOST_WAITING_BYTES - 100)))
    assert read.feed.queue.error is None
    follower.push(0, b"y" * 100)
    assert read.feed.queue.error is not None
    assert read.feed.queue.error.reason == "SLOW_CONSUMER"


async def test_a_heartbeat_is_sent_only_when_it_says_something_new() -> None:
    read = _Read()
    known_at = read.clock.monotonic() + 1
    read.feed.beat(known_at)
    read.feed.beat(known_at)
    read.feed.beat(known_at - 2)
    read.feed.beat(known_at + 1)
    beats = (await read.frame()).events
    assert [event.heartbeat.elapsed_ms for event in beats] == [1000, 2000]


@pytest.mark.parametrize("value", [1, 127, 128, 300, 2**40, 2**63 - 1])
def test_integers_are_encoded_as_protobuf_does(value: int) -> None:
    expected = presence_feed_service_pb2.PresenceFeedEvent(number=value).SerializeToString()
    assert counted(1, value) == expected


async def _all(read: _Read, count: int) -> list[presence_feed_service_pb2.PresenceFeedEvent]:
    found: list[presence_feed_service_pb2.PresenceFeedEvent] = []
    while len(found) < count:
        found += (await read.frame()).events
    return found
