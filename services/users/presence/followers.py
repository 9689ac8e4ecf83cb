"""Followers of presence: what a stream of presence is to a client, for many on one feed, whose watched may change.

A follower costs what is known of it and no more: it has no task once it is open, and its events wait with those of all.
What is wanted of one follower is done in order; of different ones, so many at once.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass

from chatkit.contract.v1 import limit_pb2
from chatkit.internal.feeds.v1 import presence_feed_service_pb2 as pb2

from services.runtime.access.port import AccessQuery
from services.runtime.clock import Clock
from services.runtime.contract.errors import ChatkitError, ResourceExhausted, Violation, invalid_field
from services.runtime.contract.policies import Limits
from services.runtime.contract.wire import embedded
from services.runtime.ids import UserUid
from services.runtime.steps import Pace, each
from services.runtime.streaming.feed import Feed, FollowerQueue, refusal
from services.runtime.streaming.open_streams import OnEnd
from services.users.presence import frames
from services.users.presence.access import PresenceAccess
from services.users.presence.hub import PresenceHub, PresenceSubscription, Topic
from services.users.presence.sessions import Place, Sessions
from services.users.presence.watching import Watching

# Most of it is waiting: for rooms, and for a transaction that all of them share.
_SERVED_AT_ONCE = 200
# A state may be large, and those that are made wait for room in the queue.
_STATES_AT_ONCE = 20
# The ids that may wait in orders before the next order is read.
_MOST_WAITING_IDS = 20_000
_CHANGED = pb2.PresenceFeedEvent.CHANGED_FIELD_NUMBER
_NOT_CHANGED = pb2.PresenceFeedEvent.NOT_CHANGED_FIELD_NUMBER


@dataclass(frozen=True, slots=True)
class Follow:
    """A follower begins: whose it is, what lets it in (None for superusers), and what it wants."""

    number: int
    user_id: str
    query: AccessQuery | None
    online: bool
    watched: Sequence[str]
    # What is wrong with the order itself.
    error: ChatkitError | None = None


@dataclass(frozen=True, slots=True)
class ChangeWatched:
    """A follower watches others from now on."""

    number: int
    change_number: int
    watched: Sequence[str]
    unwatched: Collection[str]
    error: ChatkitError | None = None


@dataclass(frozen=True, slots=True)
class Leave:
    """A follower ends."""

    number: int


Order = Follow | ChangeWatched | Leave


class _Follower:
    """What is known of a follower, beside what the hub knows."""

    __slots__ = ("orders", "place", "queue", "subscription")

    def __init__(self, queue: FollowerQueue, query: AccessQuery | None, clock: Clock) -> None:
        self.queue = queue
        self.subscription = PresenceSubscription(queue, query, clock)
        # Where the follower makes its user online.
        self.place: Place | None = None
        # What is still to be done for it; None as long as there is nothing.
        self.orders: deque[Follow | ChangeWatched] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PresenceFeeds:
    """Serves feeds of presence."""

    watching: Watching
    sessions: Sessions
    hub: PresenceHub
    access: PresenceAccess
    limits: Limits
    clock: Clock

    async def follow(self, orders: AsyncIterator[Order], on_end: OnEnd) -> AsyncGenerator[bytes, None]:
        """Yield the frames of a feed until its orders end; raise why it ends otherwise.

        `on_end` is told how the feed ends with its process.
        """
        feed = _PresenceFeed(self)
        queue = feed.queue
        running = asyncio.create_task(feed.run(orders))
        running.add_done_callback(queue.end_with)
        on_end(queue.end)
        try:
            async for frame in queue.frames():
                yield frame
        finally:
            running.cancel()
            await asyncio.wait({running})
            feed.close()


class _PresenceFeed:
    """One feed, and its followers."""

    def __init__(self, parts: PresenceFeeds) -> None:
        self._parts = parts
        self._feed = Feed(parts.clock, self._refused)
        self._most_watched = parts.limits[limit_pb2.LIMIT_WATCHED_USERS]
        self._followers: dict[int, _Follower] = {}
        # Those for whom there is something to do, in the order in which it came.
        self._due: deque[_Follower] = deque()
        self._serving = 0
        self._states = asyncio.Semaphore(_STATES_AT_ONCE)
        self._waiting_ids = 0
        self._has_room = asyncio.Event()
        self.queue = self._feed.queue
        parts.hub.feeds.add(self._feed)

    async def run(self, orders: AsyncIterator[Order]) -> None:
        """Do what is ordered, until there are no more orders."""
        async with asyncio.TaskGroup() as group:
            try:
                await self._read(orders, group)
            except ChatkitError as error:
                self.queue.end(error)
            else:
                self.queue.finish()

    def close(self) -> None:
        """Forget all followers: nobody is online by them any more."""
        self._parts.hub.feeds.discard(self._feed)
        self._parts.hub.chores.put(each(list(self._followers.values()), self._forget))

    async def _read(self, orders: AsyncIterator[Order], group: asyncio.TaskGroup) -> None:
        pace = Pace()
        async for order in orders:
            self._take(order)
            if self._due and self._serving < _SERVED_AT_ONCE:
                self._serving += 1
                group.create_task(self._serve())
            while self._waiting_ids > _MOST_WAITING_IDS:
                self._has_room.clear()
                await self._has_room.wait()
            await pace.did()

    def _take(self, order: Order) -> None:
        match order:
            case Follow():
                self._put(self._begun(order), order)
            case ChangeWatched():
                if order.number in self._followers:
                    self._put(self._followers[order.number], order)
            case Leave():
                follower = self._followers.get(order.number)
                if follower is not None:
                    follower.queue.leave()
                    self._forget_idle(follower)

    def _begun(self, order: Follow) -> _Follower:
        if order.number <= 0 or order.number in self._followers:
            raise invalid_field("FIELD_INVALID", "number", "must be greater than 0, and no other follower's")
        follower = _Follower(FollowerQueue(self._feed, order.number), order.query, self._parts.clock)
        self._followers[order.number] = follower
        return follower

    def _put(self, follower: _Follower, order: Follow | ChangeWatched) -> None:
        self._waiting_ids += _size(order)
        if follower.orders is None:
            follower.orders = deque()
            self._due.append(follower)
        follower.orders.append(order)

    async def _serve(self) -> None:
        """Serve one follower after another as long as some wait."""
        try:
            while self._due:
                await self._serve_one(self._due.popleft())
        finally:
            self._serving -= 1

    async def _serve_one(self, follower: _Follower) -> None:
        while follower.orders:
            order = follower.orders.popleft()
            if not follower.queue.is_over:
                await self._do(follower, order)
            self._waiting_ids -= _size(order)
            self._has_room.set()
        follower.orders = None
        self._forget_idle(follower)

    async def _do(self, follower: _Follower, order: Follow | ChangeWatched) -> None:
        try:
            if order.error is not None:
                raise order.error
            match order:
                case Follow():
                    await self._open(follower, order)
                case ChangeWatched():
                    await self._change(follower, order)
        except ChatkitError as error:
            match order:
                case Follow():
                    follower.queue.end(error)
                case ChangeWatched():
                    self._tell_not_changed(follower, order, error)

    async def _open(self, follower: _Follower, order: Follow) -> None:
        parts, subscription = self._parts, follower.subscription
        parts.hub.join(subscription)
        await parts.access.admit(subscription)
        found = await parts.watching.resolve([order.user_id, *order.watched])
        if order.online and not follower.queue.is_over:
            follower.place = await parts.sessions.enter(found[order.user_id], order.user_id)
        watched = {user_id: found[user_id] for user_id in order.watched}
        async with self._states:
            await self.queue.wait_for_room()
            version, told = await parts.watching.begin(subscription, watched)
        now = parts.clock.now()
        subscription.start(version, [frames.opened_event(now), *told, frames.caught_up_event(now)])

    async def _change(self, follower: _Follower, order: ChangeWatched) -> None:
        parts, subscription = self._parts, follower.subscription
        found = await parts.watching.resolve(order.watched)
        gone = [topic for topic in subscription.topics if _must_go(topic, order, found)]
        known = {topic.user_uid for topic in subscription.topics}
        added = {user_id: user_uid for user_id, user_uid in found.items() if user_uid not in known}
        count = len(known) - len(gone) + len(added)
        if count > self._most_watched:
            raise _too_many_watched(self._most_watched, count)
        async with self._states:
            await self.queue.wait_for_room()
            version, told = await parts.watching.begin(subscription, added)
        parts.hub.unwatch(subscription, gone)
        follower.queue.begin(told)
        changed = pb2.WatchChanged(change_number=order.change_number)
        follower.queue.send(embedded(_CHANGED, changed.SerializeToString()))
        subscription.told(version)

    def _tell_not_changed(self, follower: _Follower, order: ChangeWatched, error: ChatkitError) -> None:
        subscription = follower.subscription
        begun = [topic for topic, version in subscription.topics.items() if version is None]
        self._parts.hub.unwatch(subscription, begun)
        refused = pb2.WatchNotChanged(change_number=order.change_number, refusal=refusal(error))
        follower.queue.send(embedded(_NOT_CHANGED, refused.SerializeToString()))

    def _refused(self, number: int) -> None:
        follower = self._followers.get(number)
        if follower is not None:
            self._forget_idle(follower)

    def _forget_idle(self, follower: _Follower) -> None:
        """Forget a follower who has ended; whoever serves it does that later."""
        if follower.orders is None and follower.queue.is_over:
            self._forget(follower)

    def _forget(self, follower: _Follower) -> None:
        self._followers.pop(follower.queue.number, None)
        self._parts.hub.leave(follower.subscription)
        place, follower.place = follower.place, None
        if place is not None:
            self._parts.sessions.leave(place)


def _must_go(topic: Topic, order: ChangeWatched, found: Mapping[str, UserUid]) -> bool:
    """Tell whether a user is watched no longer: also one who was deleted, and whose id is another one's now."""
    if topic.user_id in found:
        return topic.user_uid != found[topic.user_id]
    return topic.user_id in order.unwatched


def _size(order: Follow | ChangeWatched) -> int:
    """Return how many ids an order names."""
    match order:
        case Follow():
            return 1 + len(order.watched)
        case ChangeWatched():
            return 1 + len(order.watched) + len(order.unwatched)


def _too_many_watched(most: int, count: int) -> ResourceExhausted:
    description = f"a follower watches at most {most} users, and this would make {count}"
    return ResourceExhausted(
        "QUOTA_EXCEEDED",
        description,
        metadata={"limit": "WATCHED_USERS", "maximum": str(most), "actual": str(count)},
        quota=[Violation("WATCHED_USERS", description)],
    )
