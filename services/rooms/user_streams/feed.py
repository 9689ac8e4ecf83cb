"""What many devices of another service follow of their users, on one stream between two processes.

Each follower is a subscription like that of a stream of its own, with the same checks, and has a part of the feed's
queue. They are opened a few at once, each when there is room for its state. A feed that is not read ends alone.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator

from chatkit.contract.v1 import method_policy_pb2
from chatkit.internal.feeds.v1 import feed_pb2
from chatkit.internal.feeds.v1 import user_feed_service_pb2 as pb2

from services.rooms.user_streams import frames
from services.rooms.user_streams.frames import position_of
from services.rooms.user_streams.opening import UserOpenings
from services.rooms.user_streams.position import UserPosition
from services.rooms.user_streams.streams import UserStreams, shutting_down
from services.rooms.user_streams.subscription import FollowedUser
from services.runtime.access.port import AccessQuery
from services.runtime.clock import Clock
from services.runtime.contract.errors import ChatkitError, invalid_field
from services.runtime.contract.policies import Limits
from services.runtime.contract.validation import Validator
from services.runtime.ids import NO_ROOM, UserId
from services.runtime.steps import Pace
from services.runtime.streaming.feed import Feed, FollowerQueue
from services.runtime.streaming.open_streams import OnEnd

# What a stream of its own would need.
_PERMISSION = "user:rooms:get"
# Most of them have missed little, and are asked about together.
_OPENED_AT_ONCE = 64
_TICK_SECONDS = 1.0


class UserFeed:
    """One feed: its followers, and those of them who are still to be opened."""

    def __init__(self, openings: UserOpenings, streams: UserStreams, clock: Clock, validator: Validator) -> None:
        self.queue = (feed := Feed(clock, self._refused)).queue
        self._feed = feed
        self._openings = openings
        self._streams = streams
        self._clock = clock
        self._validator = validator
        self._followers: dict[int, FollowedUser] = {}
        # Each with where they stand.
        self._to_open: deque[tuple[FollowedUser, UserPosition | None]] = deque()
        self._more = asyncio.Event()

    async def read(self, requests: AsyncIterator[pb2.FollowUsersRequest]) -> None:
        """Do what requests say, until there are no more: then the feed ends well."""
        pace = Pace()
        async for request in requests:
            for follower in request.follow:
                self._follow(follower)
                await pace.did()
            for number in request.leave:
                self._leave(number)
                await pace.did()
        self.queue.finish()

    def beat(self) -> None:
        """End the feed if it is not read, or say that it is alive, and where all followers stand."""
        self.queue.check_progress()
        known_at = self._streams.known_at
        if known_at is None:
            return
        self._feed.beat(known_at)
        if place := frames.place_of(self._streams.present.position()):
            self._feed.send(0, place, self)

    def take(self, _seq: int, _event: bytes) -> bool:
        """Let go where all followers stand, unless something is kept back from one of them that came before it."""
        return not self._feed.holding

    async def open_in_turn(self) -> None:
        """Open those who wait, one after another, until cancelled."""
        while True:
            while not self._to_open:
                self._more.clear()
                await self._more.wait()
            follower, after = self._to_open.popleft()
            await self.queue.wait_for_room()
            await self._open(follower, after)

    async def close(self) -> None:
        """Forget all followers."""
        pace = Pace()
        while self._followers:
            _, follower = self._followers.popitem()
            follower.leave()
            self._streams.leave(follower)
            await pace.did()

    def _follow(self, asked: pb2.UserFollower) -> None:
        follower = asked.follower
        if follower.number <= 0 or follower.number in self._followers:
            raise invalid_field("FIELD_INVALID", "follow.follower.number", "is not a new one above 0")
        part = FollowerQueue(self._feed, follower.number)
        try:
            self._validator.check(asked)
        except ChatkitError as error:
            part.end(error)
            return
        subscription = FollowedUser(follower.user_id, _query(follower), part, self._clock)
        self._followers[follower.number] = subscription
        self._to_open.append((subscription, position_of(asked)))
        self._more.set()

    async def _open(self, follower: FollowedUser, after: UserPosition | None) -> None:
        if not self._has(follower):
            return
        try:
            await self._openings.open(follower, after)
        except ChatkitError as error:
            follower.cut(error)
        finally:
            if not self._has(follower):
                self._streams.leave(follower)

    def _has(self, follower: FollowedUser) -> bool:
        """Tell whether a follower has neither left nor been refused."""
        return self._followers.get(follower.number) is follower

    def _leave(self, number: int) -> None:
        # One who was refused may not have heard of it yet.
        follower = self._followers.get(number)
        if follower is not None:
            follower.leave()
            self._forget(number)

    def _forget(self, number: int) -> None:
        follower = self._followers.pop(number, None)
        if follower is not None:
            self._streams.leave(follower)

    def _refused(self, number: int) -> None:
        # Later, because whoever tells something to all in a room may be in the middle of that.
        asyncio.get_running_loop().call_soon(self._forget, number)


class UserFeeds:
    """The feeds of a process."""

    def __init__(self, openings: UserOpenings, streams: UserStreams, clock: Clock, limits: Limits) -> None:
        self._validator = Validator(limits)
        self._openings = openings
        self._streams = streams
        self._clock = clock
        self._open: set[UserFeed] = set()
        self._is_ending = False

    async def follow(
        self, requests: AsyncIterator[pb2.FollowUsersRequest], on_end: OnEnd
    ) -> AsyncGenerator[bytes, None]:
        """Yield the frames of a feed until its requests end, and raise why it ends otherwise.

        `on_end` is told how the feed ends when the process must end it. Raises FIELD_INVALID for a number that is in
        use.
        """
        if self._is_ending:
            raise shutting_down()
        feed = UserFeed(self._openings, self._streams, self._clock, self._validator)
        self._open.add(feed)
        on_end(feed.queue.cut)
        works = [asyncio.create_task(feed.read(requests))]
        works += [asyncio.create_task(feed.open_in_turn()) for _ in range(_OPENED_AT_ONCE)]
        for work in works:
            work.add_done_callback(feed.queue.end_with)
        try:
            async for frame in feed.queue.frames():
                yield frame
        finally:
            self._open.discard(feed)
            for work in works:
                work.cancel()
            await asyncio.gather(*works, return_exceptions=True)
            await feed.close()

    async def run(self) -> None:
        """Look after the feeds, until cancelled."""
        while True:
            await self._clock.sleep(_TICK_SECONDS)
            for feed in list(self._open):
                feed.beat()

    def end_all(self) -> None:
        """End every feed, and those that would still open, because the process ends."""
        self._is_ending = True
        for feed in self._open:
            feed.queue.end(shutting_down())


def _query(follower: feed_pb2.Follower) -> AccessQuery | None:
    """Return what is asked about a follower, as a stream of their own would ask; None for superusers."""
    if follower.superuser:
        return None
    user_id, rule = UserId(follower.user_id), method_policy_pb2.MEMBERSHIP_NOT_REQUIRED
    return AccessQuery(NO_ROOM, user_id, False, rule, _PERMISSION, follower.token_time)
