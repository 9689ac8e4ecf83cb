"""The tail of rooms' changes: the one reader per process that hands them to the streams of users.

The version of the present is that up to which every change was handed out. It moves in the step in which the events are
queued, so whoever compares it with the version of a state and registers in one step misses nothing.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from datetime import timedelta
from itertools import chain
from typing import cast

import structlog
from chatkit.users.v1 import user_pb2

from services.rooms.model import Change, ChangeKind, RoleScope, RoomView
from services.rooms.user_streams import frames
from services.rooms.user_streams.access import UserAccess
from services.rooms.user_streams.frames import Event
from services.rooms.user_streams.index import UserIndex, Wanted
from services.rooms.user_streams.position import Present
from services.rooms.user_streams.store import UserStateStore
from services.rooms.user_streams.subscription import UserSubscription
from services.runtime.access.port import RoleKey
from services.runtime.clock import Clock
from services.runtime.contract.errors import Aborted, ChatkitError, Unavailable
from services.runtime.data.change_feed import ChangeFeed, FeedUpdate
from services.runtime.ids import RoomId, RoomUid
from services.runtime.steps import WAKING, Chores, Pace, each, slices
from services.runtime.streaming.open_streams import spread_delay

_log = structlog.get_logger()
_TICK_SECONDS = 1.0
_START_SECONDS = 3.0
# How old a heartbeat may be that says that every change until then was sent.
_LATELY_SECONDS = 5.0
# Each may be told to everybody in a room.
_CHANGES_AT_ONCE = 10
_NEEDS_A_ROOM = {
    ChangeKind.MEMBER_ADDED,
    ChangeKind.MEMBER_REMOVED,
    ChangeKind.MEMBER_DELETED,
    ChangeKind.ROOM_UPDATED,
    ChangeKind.ROOM_DELETED,
}
_NEEDS_A_USER = {
    ChangeKind.MEMBER_ADDED,
    ChangeKind.MEMBER_REMOVED,
    ChangeKind.MEMBER_DELETED,
    ChangeKind.ROLE_ASSIGNED,
}


class UserStreams:
    """The streams of users in a process, and what is told to them."""

    def __init__(
        self,
        feed: ChangeFeed[Change],
        store: UserStateStore,
        access: UserAccess,
        index: UserIndex[UserSubscription],
        present: Present,
        clock: Clock,
        *,
        heartbeat_interval: float,
        retry_interval: float,
    ) -> None:
        self.present = present
        # How often everything was begun anew, because changes were missed.
        self.resets = 0
        # What is done with all streams.
        self._chores = Chores()
        self._pace = Pace()
        self._feed = feed
        self._store = store
        self._access = access
        self._index = index
        self._clock = clock
        self._heartbeat_interval = heartbeat_interval
        self._retry_interval = retry_interval
        self._is_ending = False
        self._started = asyncio.Event()
        # Every change until then was handed out, by the monotonic clock.
        self._complete_at = float("-inf")

    @property
    def position(self) -> int | None:
        """The version up to which every change was handed out; None before the database was reached."""
        return self.present.rooms_version

    async def started(self) -> None:
        """Return once the changes are followed, or raise DATABASE_UNAVAILABLE."""
        try:
            async with asyncio.timeout(_START_SECONDS):
                await self._started.wait()
        except TimeoutError:
            raise Unavailable(
                "DATABASE_UNAVAILABLE", "the changes of rooms are not followed yet", retry_after=timedelta(seconds=1)
            ) from None

    def join(self, subscription: UserSubscription, rooms: Iterable[tuple[RoomUid, RoomId]], version: int) -> bool:
        """Register a subscription whose state is of a version; False when the tail is ahead of that.

        Raises SHUTTING_DOWN when the others were told so already.
        """
        if self._is_ending:
            raise shutting_down()
        if self.position is None or self.position > version:
            return False
        subscription.version, subscription.users_version = version, self.present.users_seen
        self._index.join(subscription, rooms)
        return True

    def leave(self, subscription: UserSubscription) -> None:
        """Forget a subscription."""
        self._index.leave(subscription)

    async def tell(self, user: user_pb2.User, version: int, room_uids: Sequence[RoomUid]) -> None:
        """Tell a changed user's streams, and those of everybody who is in one of these rooms, once each.

        `version` is that of the change, which those ignore who came after it was seen.
        """
        event = self._shown(user, version)
        told = self._index.neighbours(user.id, ())
        for subscription in list(told):
            if subscription.users_version < version:
                subscription.push(event())
        for room_uid in room_uids:
            for subscription in self._index.neighbours(user.id, (room_uid,)) - told:
                told.add(subscription)
                if subscription.users_version < version:
                    subscription.push(event())
                await self._pace.did(WAKING)
            await self._pace.did()

    def _shown(self, user: user_pb2.User, version: int) -> Callable[[], Event]:
        """Return what serializes an event of a user, once for each version of the changes of rooms."""
        made: dict[int | None, Event] = {}

        def event() -> Event:
            if self.position not in made:
                made.clear()
                place = None if self.position is None else self.present.position_at(self.position, version)
                made[self.position] = frames.user_updated_event(user, place)
            return made[self.position]

        return event

    @property
    def is_empty(self) -> bool:
        """Whether there is no stream."""
        return self._index.is_empty

    def reset(self) -> None:
        """End every stream, because it has missed something: its client gets the state anew."""
        self._end(self._index.subscriptions(), log_reset)

    def end_all(self) -> None:
        """End every stream, and those that would still open, because the process ends."""
        self._is_ending = True
        self._end(self._index.subscriptions(), shutting_down)

    def _end(self, subscriptions: Iterable[UserSubscription], error: Callable[[], ChatkitError]) -> None:
        self.present.withhold()
        self._chores.put(chain(each(subscriptions, lambda one: one.end(error()), WAKING), self._place_again()))

    def _place_again(self) -> Iterator[int]:
        self.present.give()
        yield 1

    async def run(self) -> None:
        """Follow the changes and look after the streams, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._tail())
            group.create_task(self._tick())
            group.create_task(self._chores.run())

    async def _tail(self) -> None:
        while True:
            try:
                await self._follow()
            except ChatkitError as error:
                if error.reason == "SHUTTING_DOWN":
                    return
                # What was not handed out is read again, with what has come since.
                _log.warning("changes_unfollowed", reason=error.reason)
            await self._clock.sleep(self._retry_interval)

    async def _follow(self) -> None:
        came_at = self._clock.monotonic()
        told = cast(
            "AsyncGenerator[FeedUpdate[Change], None]", self._feed.follow(self.position or 0, self.present.rooms_epoch)
        )
        async with aclosing(told):
            async for update in told:
                self.present.rooms_epoch = update.epoch
                await self._take(update, came_at)

    async def _take(self, update: FeedUpdate[Change], came_at: float) -> None:
        if update.changes:
            await self._hand_out(update.changes)
        elif update.is_reset or (self.position is not None and update.version != self.position):
            # The second is a start at the present after nothing had been there.
            _log.warning("changes_missed", position=self.position, change_version=update.version)
            self.present.rooms_version = update.version
            self.resets += 1
            self.reset()
        else:
            self.present.rooms_version = update.version
            self._complete_at = came_at + update.elapsed_ms / 1000
            self._started.set()

    async def _hand_out(self, changes: Sequence[Change]) -> None:
        views: dict[RoomUid, RoomView] = {}
        read = Wanted()
        # All that is known to be wanted is read at once, and handed out in parts.
        wanted = self._index.wanted(changes)
        for some in slices(changes, _CHANGES_AT_ONCE):
            # Subscriptions that come meanwhile may want more rooms, or their members too.
            while missing := (wanted := wanted.and_also(self._index.wanted(some))).beyond(read):
                views |= await self._store.views(missing, wanted.with_members & missing)
                read = wanted
            self._deliver(some, views)
            self._consider_access(some)
            await asyncio.sleep(0)

    def _deliver(self, changes: Sequence[Change], views: Mapping[RoomUid, RoomView]) -> None:
        unknown = [change for change in changes if not is_understood(change)]
        # Nobody goes on after what they were not told: those who may have missed that are ended first.
        self.present.withhold(bool(unknown))
        self._index.deliver(changes, views)
        self.present.rooms_version = changes[-1].version
        self._consider_the_unknown(unknown)
        self.present.give(bool(unknown))

    def _consider_access(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.kind is ChangeKind.ROLE_ASSIGNED and change.room_uid is None and change.user_id:
                self._access.doubt(self._index.subscriptions_of(change.user_id))
            elif change.kind is ChangeKind.ROLE_CHANGED and change.role and change.role[0] is RoleScope.GLOBAL:
                self._chores.put(self._doubting(self._index.subscriptions(), change.role))

    def _doubting(self, subscriptions: Iterable[UserSubscription], role: RoleKey) -> Iterator[int]:
        for subscription in subscriptions:
            if subscription.may_depend_on(role):
                self._access.doubt([subscription])
            yield 1

    def _consider_the_unknown(self, changes: Sequence[Change]) -> None:
        """End the streams that changes may concern which another release recorded in a way that is not known here."""
        for change in changes:
            subscriptions = self._index.subscriptions()
            if change.room_uid is not None:
                in_room = [one for one in subscriptions if change.room_uid in one.rooms]
                subscriptions = [*in_room, *self._index.subscriptions_of(change.user_id or "")]
            self._end(subscriptions, log_reset)

    async def _tick(self) -> None:
        while True:
            await self._clock.sleep(_TICK_SECONDS)
            pace = Pace()
            for subscription in self._index.subscriptions():
                if subscription.tend(self._heartbeat_interval) and (event := self._heartbeat()) is not None:
                    subscription.beat(event)
                    await pace.did(WAKING)
                await pace.did()

    @property
    def known_at(self) -> float | None:
        """Until when every change was handed out, by the monotonic clock; None when that was not lately."""
        # Without the database there are no heartbeats.
        return self._complete_at if self._clock.monotonic() - self._complete_at <= _LATELY_SECONDS else None

    def _heartbeat(self) -> Event | None:
        known_at = self.known_at
        if known_at is None:
            return None
        until = self._clock.now() - timedelta(seconds=self._clock.monotonic() - known_at)
        return frames.heartbeat_event(until, self.present.position())


def is_understood(change: Change) -> bool:
    """Tell whether a change says all that this release must know of it."""
    if change.kind is ChangeKind.UNKNOWN:
        return False
    has_room = change.room_uid is not None or change.kind not in _NEEDS_A_ROOM
    return has_room and (bool(change.user_id) or change.kind not in _NEEDS_A_USER)


def log_reset() -> Aborted:
    """Return the error with which streams end that have missed changes."""
    return Aborted("LOG_RESET", "changes were missed: subscribe again", retry_after=spread_delay())


def shutting_down() -> Unavailable:
    """Return the error with which streams end because the process does."""
    return Unavailable("SHUTTING_DOWN", "the process is shutting down: subscribe again", retry_after=spread_delay())
