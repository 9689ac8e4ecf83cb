"""Fan-out of presence: one reader of the changes per process, which hands each to those who watch the user.

Whoever watches takes a user's changes above the version of the state that they were sent of that user; what comes while
the state is read waits.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from datetime import timedelta
from typing import cast

import structlog

from services.runtime.access.doubts import Doubt
from services.runtime.access.port import AccessQuery
from services.runtime.clock import Clock
from services.runtime.contract.errors import Aborted, ChatkitError
from services.runtime.data.change_feed import ChangeFeed, FeedUpdate
from services.runtime.ids import UserUid
from services.runtime.metrics.distribution import SECONDS, Distribution
from services.runtime.steps import WAKING, Chores, Pace, each
from services.runtime.streaming.event_queue import EventQueue
from services.runtime.streaming.feed import Feed, FollowerQueue
from services.runtime.streaming.live_event import LiveEvent
from services.users.model import Change, ChangeKind, Presence, PresenceState
from services.users.presence import frames

_log = structlog.get_logger()
_TICK_SECONDS = 1.0
_MOST_EARLY = 10_000
# A set takes a few hundred bytes for one, and most of these groups are of one.
_FEW = 4
_STATES = {
    ChangeKind.USER_ONLINE: PresenceState.ONLINE,
    ChangeKind.USER_OFFLINE: PresenceState.OFFLINE,
    ChangeKind.USER_DELETED: PresenceState.OFFLINE,
}


class Topic:
    """A user, and those who watch them."""

    __slots__ = ("subscriptions", "user_id", "user_uid")

    def __init__(self, user_uid: UserUid, user_id: str) -> None:
        self.user_uid = user_uid
        self.user_id = user_id
        self.subscriptions: _Group = ()


class PresenceSubscription:
    """A queue of serialized events between the hub and a stream or a follower, and what is known of its user."""

    __slots__ = ("_early", "doubt", "query", "queue", "topics")

    def __init__(self, queue: EventQueue | FollowerQueue, query: AccessQuery | None, clock: Clock) -> None:
        self.queue = queue
        # What was asked when the stream was admitted, to be asked again; None for superusers.
        self.query = query
        # Whom it watches, each with the version of the state that it was sent of them; None before that is known.
        self.topics: dict[Topic, int | None] = {}
        self.doubt = Doubt(clock)
        # The changes of those whose state is not known yet; None for none.
        self._early: list[tuple[Topic, int, bytes]] | None = None

    def start(self, version: int, beginning: Iterable[bytes]) -> None:
        """Queue the state, as of a version, and what has changed since."""
        self.queue.open(0, [(0, event) for event in beginning])
        self.told(version)

    def told(self, version: int) -> None:
        """Take note that the state of all who are watched was queued, of new ones as of a version."""
        for topic, known in self.topics.items():
            if known is None:
                self.topics[topic] = version
        early, self._early = self._early, None
        for topic, changed_at, event in early or ():
            self.offer(topic, changed_at, event)

    def offer(self, topic: Topic, version: int, event: bytes, live: LiveEvent | None = None) -> None:
        """Queue a change of a user unless the state knows it, or the user is not watched any more."""
        known = self.topics.get(topic, version)
        if known is None:
            self._put_early(topic, version, event)
        elif version > known:
            self.queue.push(0, event, live=live)

    def _put_early(self, topic: Topic, version: int, event: bytes) -> None:
        if self._early is None:
            self._early = []
        self._early.append((topic, version, event))
        if len(self._early) > _MOST_EARLY:
            self._early = None
            self.queue.end(_changes_missed())


_Group = tuple[PresenceSubscription, ...] | set[PresenceSubscription]


def _with(group: _Group, one: PresenceSubscription) -> _Group:
    if isinstance(group, set):
        group.add(one)
        return group
    return {*group, one} if one in group or len(group) == _FEW else (*group, one)


def _without(group: _Group, one: PresenceSubscription) -> _Group:
    if isinstance(group, set):
        group.discard(one)
        return group
    return tuple(other for other in group if other is not one)


class PresenceHub:
    """The streams of presence of a process."""

    def __init__(
        self, feed: ChangeFeed[Change], clock: Clock, *, heartbeat_interval: float, retry_interval: float
    ) -> None:
        # What is done with all streams.
        self.chores = Chores()
        # How old changes were, in seconds, when streams and feeds took them.
        self.ages = Distribution(SECONDS)
        self._pace = Pace()
        self._feed = feed
        self._clock = clock
        self._heartbeat_interval = heartbeat_interval
        self._retry_interval = retry_interval
        # The feeds that carry followers; whoever serves one puts it here.
        self.feeds: set[Feed] = set()
        self._streams: dict[PresenceSubscription, EventQueue] = {}
        self._topics: dict[UserUid, Topic] = {}
        self._of_user: dict[str | None, _Group] = {}
        # The version up to which the changes were handed on; None before they were followed.
        self._version: int | None = None
        self._epoch = ""
        self._following = asyncio.Event()
        # The moment, by the monotonic clock, up to which all changes were handed on.
        self._known_at = float("-inf")

    def join(self, subscription: PresenceSubscription) -> None:
        """Register a stream or a follower. A stream is given heartbeats, and ended with the process."""
        user_id = _user_of(subscription)
        self._of_user[user_id] = _with(self._of_user.get(user_id, ()), subscription)
        if isinstance(subscription.queue, EventQueue):
            self._streams[subscription] = subscription.queue

    async def watch(self, subscription: PresenceSubscription, watched: Mapping[str, UserUid]) -> None:
        """Offer every change of users, given by their ids, that is committed after this has returned."""
        # Where the changes are not followed yet they would begin somewhere after the state.
        await self._following.wait()
        for user_id, user_uid in watched.items():
            topic = self._topics.get(user_uid)
            if topic is None:
                topic = self._topics[user_uid] = Topic(user_uid, user_id)
            topic.subscriptions = _with(topic.subscriptions, subscription)
            subscription.topics.setdefault(topic, None)

    def unwatch(self, subscription: PresenceSubscription, topics: Iterable[Topic]) -> None:
        """Offer no more changes of some users."""
        for topic in topics:
            topic.subscriptions = _without(topic.subscriptions, subscription)
            subscription.topics.pop(topic, None)
            if not topic.subscriptions:
                self._topics.pop(topic.user_uid, None)

    def leave(self, subscription: PresenceSubscription) -> None:
        """Forget a stream or a follower."""
        self.unwatch(subscription, list(subscription.topics))
        self._streams.pop(subscription, None)
        user_id = _user_of(subscription)
        of_user = _without(self._of_user.get(user_id, ()), subscription)
        if of_user:
            self._of_user[user_id] = of_user
        else:
            self._of_user.pop(user_id, None)

    def subscriptions(self) -> list[PresenceSubscription]:
        """List every stream and follower."""
        return [subscription for of_user in self._of_user.values() for subscription in of_user]

    def subscriptions_of(self, user_id: str) -> list[PresenceSubscription]:
        """List the streams and followers that act for a user."""
        return list(self._of_user.get(user_id, ()))

    def has(self, subscription: PresenceSubscription) -> bool:
        """Tell whether a stream or a follower is still there."""
        return subscription in self._of_user.get(_user_of(subscription), ())

    def end_all(self, error: Callable[[], ChatkitError]) -> None:
        """End every stream, and every feed with its followers."""
        queues = [*self._streams.values(), *(feed.queue for feed in self.feeds)]
        self.chores.put(each(queues, lambda queue: queue.end(error()), WAKING))

    async def run(self) -> None:
        """Hand changes on, send heartbeats, and end streams that are not read, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow())
            group.create_task(self._tick())
            group.create_task(self.chores.run())

    async def _follow(self) -> None:
        while True:
            began = self._clock.monotonic()
            feed = cast("AsyncGenerator[FeedUpdate[Change], None]", self._feed.follow(self._version or 0, self._epoch))
            try:
                async with aclosing(feed) as followed:
                    async for update in followed:
                        await self._take(update, began)
            except ChatkitError as error:
                if error.reason == "SHUTTING_DOWN":
                    return
                _log.warning("presence_unfollowed", reason=error.reason)
            await self._clock.sleep(self._retry_interval)

    async def _take(self, update: FeedUpdate[Change], began: float) -> None:
        # Whoever follows from 0 is told nothing of what was before.
        is_gap = not update.changes and self._version is not None and update.version != self._version
        if update.is_reset or is_gap:
            _log.warning("presence_changes_missed", change_version=update.version)
            await self._miss()
        for change in update.changes:
            await self._route(change)
        if not update.changes:
            self._known_at = began + update.elapsed_ms / 1000
        self._version, self._epoch = update.version, update.epoch
        self._following.set()

    async def _route(self, change: Change) -> None:
        if change.kind is ChangeKind.FORGOTTEN:
            await self._miss()
            return
        topic = self._topics.get(change.user_uid)
        state = _STATES.get(change.kind)
        if topic is None or state is None or change.time is None:
            return
        event = frames.changed_event(change.time, change.user_id, Presence(state, change.time))
        live = LiveEvent(change.time, self.ages)
        # A user whom all watch here has as many streams as the process. Who comes meanwhile has a state that knows it.
        for subscription in list(topic.subscriptions):
            subscription.offer(topic, change.version, event, live)
            await self._pace.did(WAKING)

    async def _miss(self) -> None:
        """End those that were owed the changes; those who watch nobody go on."""
        for subscription in self.subscriptions():
            if subscription.topics:
                subscription.queue.end(_changes_missed())
                await self._pace.did(WAKING)

    async def _tick(self) -> None:
        while True:
            await self._clock.sleep(_TICK_SECONDS)
            for feed in list(self.feeds):
                feed.queue.check_progress()
                feed.beat(self._known_at)
            pace = Pace()
            for subscription, queue in list(self._streams.items()):
                queue.check_progress()
                if self._clock.monotonic() - queue.heartbeat_at >= self._heartbeat_interval:
                    self._beat(queue, watches=bool(subscription.topics))
                    await pace.did(WAKING)
                await pace.did()

    def _beat(self, queue: EventQueue, *, watches: bool) -> None:
        now, time = self._clock.monotonic(), self._clock.now()
        if watches:
            # It dates from when the database was last asked; without it there is none for those who watch.
            known_for = now - self._known_at
            if known_for > self._heartbeat_interval:
                return
            time -= timedelta(seconds=known_for)
        if queue.is_open:
            queue.push(0, frames.heartbeat_event(time))
            queue.heartbeat_at = now


def _user_of(subscription: PresenceSubscription) -> str | None:
    return subscription.query.user_id if subscription.query is not None else None


def _changes_missed() -> Aborted:
    return Aborted("LOG_RESET", "changes of presence were missed: subscribe again", retry_after=timedelta(seconds=1))
