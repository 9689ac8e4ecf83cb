"""All hubs of a process: they come with a room's first subscriber, go with the last, and are healed from the database.

`run` looks at the heads of the rooms that are followed every few seconds, so that nothing depends on being told.
"""

import asyncio
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import TypeVar, cast
from uuid import UUID

import structlog

from services.messages import wire
from services.messages.endings import removed
from services.messages.hub import RoomHub
from services.messages.model import Head, LogEntry
from services.messages.rooms_stream import RoomOfStream, RoomsStream
from services.messages.store import LogStore
from services.messages.subscription import Follower, Subscription
from services.runtime.clock import Clock
from services.runtime.errors import Aborted, ChatkitError, Unavailable

_log = structlog.get_logger()
_Stream = TypeVar("_Stream", Subscription, RoomsStream)
_TICK_SECONDS = 1.0
_TICK = timedelta(seconds=_TICK_SECONDS)
_GAP_SECONDS = 0.005
# Reads of followed heads are spread over time when there are very many rooms.
_HEADS_PER_SECOND = 5_000
# Events that a hub keeps as bytes; never fewer than a subscriber may resume over.
_KEPT = 256


class Hubs:
    """The fan-out of a process."""

    def __init__(
        self,
        store: LogStore,
        clock: Clock,
        *,
        heads_interval: float,
        heartbeat_interval: float,
        most_replayed: int,
    ) -> None:
        self._store = store
        self._clock = clock
        self._heads_interval = heads_interval
        self._heartbeat_interval = heartbeat_interval
        self._kept = max(_KEPT, most_replayed)
        self._hubs: dict[UUID, RoomHub] = {}
        # The streams of one room and those of several, by user.
        self._subscriptions: dict[str | None, set[Subscription]] = {}
        self._streams: dict[str | None, set[RoomsStream]] = {}
        self._doubtful: set[UUID] = set()
        # Rooms of which an event came before its turn.
        self._gaps: set[UUID] = set()
        self._look_now = asyncio.Event()

    def join(self, room_id: str, subscription: Follower) -> RoomHub:
        """Register a subscriber; from now on it is ended with its room, and given what the hub accepts."""
        hub = self._hubs.get(subscription.room_uid)
        if hub is None:
            hub = self._hubs[subscription.room_uid] = RoomHub(subscription.room_uid, room_id, self._store, self._kept)
        hub.subscriptions.add(subscription)
        if not isinstance(subscription, RoomOfStream):
            of_user = self._subscriptions.setdefault(subscription.query.user_id, set())
            of_user.add(cast("Subscription", subscription))
        return hub

    def leave(self, subscription: Follower) -> None:
        """Forget a subscriber, and its room's hub with the last one."""
        hub = self._hubs.get(subscription.room_uid)
        if hub is not None:
            hub.subscriptions.discard(subscription)
            if not hub.subscriptions:
                del self._hubs[subscription.room_uid]
        if not isinstance(subscription, RoomOfStream):
            _discard(self._subscriptions, subscription.query.user_id, cast("Subscription", subscription))

    def attach(self, stream: RoomsStream) -> None:
        """Register a stream of several rooms, whose rooms join for themselves."""
        self._streams.setdefault(stream.query.user_id, set()).add(stream)

    def detach(self, stream: RoomsStream) -> None:
        """Forget a stream of several rooms, whose rooms have left."""
        _discard(self._streams, stream.query.user_id, stream)

    # What the committer tells.

    def unknown(self, room_uid: UUID) -> None:
        """Look at the room's head at once."""
        if room_uid in self._hubs:
            self._doubtful.add(room_uid)
            self._look_now.set()

    # What other replicas tell.

    def wants(self, room_uid: UUID, seq: int) -> bool:
        """Tell whether somebody here follows the room and was not given its event `seq` yet."""
        hub = self._hubs.get(room_uid)
        return hub is not None and not 0 < seq <= hub.last

    def offer(self, room_uid: UUID, entry: LogEntry) -> None:
        """Hand an entry to the room's subscribers, in its turn."""
        hub = self._hubs.get(room_uid)
        if hub is not None and not hub.offer(entry):
            self._gaps.add(room_uid)
            self._look_now.set()

    def show(self, room_uid: UUID, event: bytes, *, author_id: str) -> None:
        """Hand an event that is not in the log to the room's subscribers but for its author."""
        hub = self._hubs.get(room_uid)
        for subscription in hub.subscriptions if hub is not None else ():
            if subscription.query.user_id != author_id:
                subscription.push(0, event)

    def doubt_all(self) -> None:
        """Look at every head at once."""
        self._doubtful.update(self._hubs)
        self._look_now.set()

    # Endings.

    def end_member(self, room_uid: UUID, user_uid: UUID) -> None:
        """End a removed user's streams of a room; what waits for them is not sent any more."""
        hub = self._hubs.get(room_uid)
        for subscription in hub.subscriptions if hub is not None else ():
            if subscription.user_uid == user_uid:
                subscription.cut(removed(subscription.room_id))

    def end_all(self, error: Callable[[], ChatkitError]) -> None:
        """End every stream."""
        for stream in self.streams():
            stream.end(error())

    def reset(self) -> None:
        """End every stream, because the log's epoch is another."""
        self.end_all(lambda: Aborted("LOG_RESET", "the log's epoch has changed: subscribe again"))
        for hub in self._hubs.values():
            hub.forget()

    def streams(self) -> list[Subscription | RoomsStream]:
        """List every stream."""
        # No room of a stream is looked at, because this is asked each second.
        return [
            *(one for some in self._subscriptions.values() for one in some),
            *(one for some in self._streams.values() for one in some),
        ]

    def streams_of(self, user_id: str) -> list[RoomsStream]:
        """List a user's streams of several rooms; everyone's when it is not known whose."""
        of_users = self._streams.values() if not user_id else (self._streams.get(user_id, ()),)
        return [stream for some in of_users for stream in some]

    def subscriptions(self) -> list[Follower]:
        """List everyone who follows a room, once for each of their rooms."""
        return [subscription for hub in self._hubs.values() for subscription in hub.subscriptions]

    def subscriptions_of(self, user_id: str) -> list[Follower]:
        """List where a user follows a room."""
        rooms = (room for stream in self._streams.get(user_id, ()) for room in stream.rooms.values())
        return [*self._subscriptions.get(user_id, ()), *rooms]

    def has(self, subscription: Follower) -> bool:
        """Tell whether a subscriber is still there."""
        hub = self._hubs.get(subscription.room_uid)
        return hub is not None and subscription in hub.subscriptions

    # What happens by itself.

    async def run(self) -> None:
        """Heal hubs, send heartbeats, and end streams whose time is over, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch_heads())
            group.create_task(self._heal_doubtful())
            group.create_task(self._tick())

    async def _tick(self) -> None:
        while True:
            await self._clock.sleep(_TICK_SECONDS)
            now = self._clock.monotonic()
            beats: dict[UUID, bytes] = {}
            for stream in self.streams():
                stream.check_access()
                stream.check_progress()
                if stream.is_open and now - stream.heartbeat_at >= self._heartbeat_interval:
                    self._beat(stream, now, beats)

    def _beat(self, stream: Subscription | RoomsStream, now: float, beats: dict[UUID, bytes]) -> None:
        """Send a stream its heartbeat; those of the hubs are serialized once for all streams."""
        rooms: Iterable[Follower]
        rooms = (
            (room for room in stream.rooms.values() if room.is_open) if isinstance(stream, RoomsStream) else [stream]
        )
        hubs = [(room, self._hubs[room.room_uid]) for room in rooms]
        # A heartbeat says that the heads were read lately: without the database there is none.
        if any(now - hub.head_known_at > self._heartbeat_interval for _, hub in hubs):
            return
        for room, hub in hubs:
            if isinstance(room, RoomOfStream):
                if room.told_seq == hub.last:
                    continue
                room.told_seq = hub.last
            if hub.room_uid not in beats:
                beats[hub.room_uid] = wire.heartbeat_event(hub.room_id, self._clock.now(), hub.last)
            room.push(0, beats[hub.room_uid])
        if isinstance(stream, RoomsStream):
            stream.push(0, wire.heartbeat_event("", self._clock.now(), 0))
        stream.heartbeat_at = now

    async def _watch_heads(self) -> None:
        while True:
            await self._clock.sleep(max(self._heads_interval, len(self._hubs) / _HEADS_PER_SECOND))
            await self._look(list(self._hubs))

    async def _heal_doubtful(self) -> None:
        while True:
            await self._look_now.wait()
            self._look_now.clear()
            if self._gaps:
                # Two replicas that write to one room overtake each other: the missing one is mostly on its way.
                await self._clock.sleep(_GAP_SECONDS)
            gaps, self._gaps = self._gaps, set()
            doubtful, self._doubtful = self._doubtful, set()
            doubtful |= {uid for uid in gaps if uid in self._hubs and self._hubs[uid].has_gap}
            if not await self._look(doubtful):
                self._doubtful |= doubtful & self._hubs.keys()
                await self._clock.sleep(self._heads_interval / 10)
                self._look_now.set()

    async def look(self, room_uids: Iterable[UUID]) -> None:
        """Bring rooms' hubs up to the heads in the database; UNAVAILABLE when they can't be read."""
        if not await self._look(room_uids):
            raise Unavailable(
                "DATABASE_UNAVAILABLE",
                "the database can't be reached",
                retry_after=_TICK,
            )

    async def _look(self, room_uids: Iterable[UUID]) -> bool:
        """Compare hubs with the heads in the database and heal them; False when it can't be reached."""
        before = {uid: self._hubs[uid].last for uid in room_uids if uid in self._hubs}
        if not before:
            return True
        asked_at = self._clock.monotonic()
        try:
            heads = await self._store.heads(list(before))
            for room_uid, head in heads.items():
                await self._compare(room_uid, before[room_uid], head, asked_at)
        except Unavailable as error:
            _log.warning("heads_unread", reason=error.reason)
            return False
        return True

    async def _compare(self, room_uid: UUID, last_before: int, head: Head, asked_at: float) -> None:
        hub = self._hubs.get(room_uid)
        if hub is None or not hub.is_seeded:
            return
        try:
            _refuse_to_shrink(last_before, head.seq)
            await hub.heal(head.seq)
            hub.sweep(head.oldest_seq)
            hub.head_known_at = asked_at
        except Aborted as error:
            _log.error("log_reset", room_uid=str(room_uid), last=last_before, head_seq=head.seq)
            hub.end(error)
            hub.forget()


def _discard(by_user: dict[str | None, set[_Stream]], user_id: str | None, stream: _Stream) -> None:
    of_user = by_user.get(user_id, set())
    of_user.discard(stream)
    if not of_user:
        by_user.pop(user_id, None)


def shutting_down(delay: timedelta) -> Unavailable:
    """Return the error with which streams end when the process does."""
    return Unavailable(
        "SHUTTING_DOWN",
        "the process is shutting down: resume elsewhere",
        retry_after=delay,
    )


def _refuse_to_shrink(last: int, head_seq: int) -> None:
    if head_seq < last:
        raise Aborted("LOG_RESET", "the room's log is shorter than it was: subscribe again")
