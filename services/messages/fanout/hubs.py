"""All hubs of a process: they come with a room's first subscriber, go with the last, and are healed by `heads.py`.

A process may follow some 100,000 rooms, so whatever is done with all of them, or with all streams, is done in steps.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import TypeVar, cast

from services.messages import frames
from services.messages.fanout.heads import Heads, OnLoss
from services.messages.fanout.hub import LogLife, RoomHub
from services.messages.log.store import LogStore
from services.messages.model import LogEntry
from services.messages.streams.endings import removed
from services.messages.streams.rooms_stream import RoomOfStream, RoomsStream
from services.messages.streams.subscription import Follower, Subscription
from services.runtime.clock import Clock
from services.runtime.contract.errors import Aborted, ChatkitError, Unavailable
from services.runtime.ids import RoomUid, UserUid
from services.runtime.steps import WAKING, Chores, Pace, emptied

_Stream = TypeVar("_Stream", Subscription, RoomsStream)
_TICK_SECONDS = 1.0
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
        on_loss: OnLoss,
    ) -> None:
        # What is done with all streams or rooms.
        self.chores = Chores()
        self._store = store
        self._clock = clock
        self._heartbeat_interval = heartbeat_interval
        self._kept = max(_KEPT, most_replayed)
        self._hubs: dict[RoomUid, RoomHub] = {}
        # The streams of one room and those of several, by user.
        self._subscriptions: dict[str | None, set[Subscription]] = {}
        self._streams: dict[str | None, set[RoomsStream]] = {}
        self._life = LogLife()
        self._heads = Heads(
            store,
            clock,
            lambda: list(self._hubs.values()),
            interval=heads_interval,
            heartbeat_interval=heartbeat_interval,
            on_loss=on_loss,
        )

    def join(self, room_id: str, subscription: Follower) -> RoomHub:
        """Register a subscriber; from now on it is ended with its room, and given what the hub accepts."""
        hub = self._hubs.get(subscription.room_uid)
        if hub is None:
            hub = RoomHub(subscription.room_uid, room_id, self._store, self._kept, self._life)
            self._hubs[subscription.room_uid] = hub
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

    def unknown(self, room_uid: RoomUid) -> None:
        """Look at the room's head at once."""
        hub = self._hubs.get(room_uid)
        if hub is not None:
            self._heads.doubt(hub)

    # What other replicas tell.

    def wants(self, room_uid: RoomUid, seq: int) -> bool:
        """Tell whether somebody here follows the room and was not given its event `seq` yet."""
        hub = self._hubs.get(room_uid)
        return hub is not None and not 0 < seq <= hub.last

    def offer(self, room_uid: RoomUid, entry: LogEntry) -> None:
        """Hand an entry to the room's subscribers, in its turn."""
        hub = self._hubs.get(room_uid)
        if hub is not None:
            self._heads.moved(hub)
            if not hub.offer(entry):
                self._heads.gap(hub)

    def show(self, room_uid: RoomUid, event: bytes, *, author_id: str) -> None:
        """Hand an event that is not in the log to the room's subscribers but for its author."""
        hub = self._hubs.get(room_uid)
        for subscription in hub.subscriptions if hub is not None else ():
            if subscription.query.user_id != author_id:
                subscription.push(0, event)

    def doubt_all(self) -> None:
        """Look at every head at once."""
        self._heads.doubt_all()

    # Endings.

    def end_member(self, room_uid: RoomUid, user_uid: UserUid) -> None:
        """End a removed user's streams of a room; what waits for them is not sent any more."""
        hub = self._hubs.get(room_uid)
        for subscription in hub.subscriptions if hub is not None else ():
            if subscription.user_uid == user_uid:
                subscription.cut(removed(subscription.room_id))

    def end_all(self, error: Callable[[], ChatkitError]) -> None:
        """End every stream."""
        self.chores.put(_ending(self.streams(), error))

    def reset(self) -> None:
        """End every stream, because the log's epoch is another."""
        # What the hubs know is void in this step, and nobody finds them any more.
        self._life.is_over = True
        self._life = LogLife()
        hubs, self._hubs = self._hubs, {}
        self.end_all(lambda: Aborted("LOG_RESET", "the log's epoch has changed: subscribe again"))
        self.chores.put(emptied(hubs))

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

    def all_streams_of(self, user_id: str) -> list[Subscription | RoomsStream]:
        """List a user's streams."""
        return [*self._subscriptions.get(user_id, ()), *self._streams.get(user_id, ())]

    def has(self, subscription: Follower) -> bool:
        """Tell whether a subscriber is still there."""
        hub = self._hubs.get(subscription.room_uid)
        return hub is not None and subscription in hub.subscriptions

    # What happens by itself.

    async def run(self) -> None:
        """Heal hubs, send heartbeats, and end streams whose time is over, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._heads.run())
            group.create_task(self._tick())
            group.create_task(self.chores.run())

    async def _tick(self) -> None:
        while True:
            await self._clock.sleep(_TICK_SECONDS)
            # By room and where it stands: those of the hubs are serialized once for all streams.
            beats: dict[tuple[RoomUid, int], bytes] = {}
            pace = Pace()
            for stream in self.streams():
                stream.check_access()
                stream.check_progress()
                done = 1 if stream.error is None else WAKING
                if stream.is_open and self._clock.monotonic() - stream.heartbeat_at >= self._heartbeat_interval:
                    done = WAKING + self._beat(stream, beats)
                await pace.did(done)

    def _beat(self, stream: Subscription | RoomsStream, beats: dict[tuple[RoomUid, int], bytes]) -> int:
        """Send a stream its heartbeat; return how many rooms were looked at.

        It says that the head was read lately: without the database there is none. A room of which nobody knows that
        keeps no other room's back, and the stream gets a sign of life.
        """
        now = self._clock.monotonic()
        rooms: Iterable[Follower] = stream.open_rooms() if isinstance(stream, RoomsStream) else [stream]
        hubs = [(room, self._hubs.get(room.room_uid)) for room in rooms]
        known = [
            (room, hub) for room, hub in hubs if hub is not None and now - hub.head_known_at <= self._heartbeat_interval
        ]
        if hubs and not known:
            return len(hubs)
        has_beaten = False
        for room, hub in known:
            if isinstance(room, RoomOfStream):
                if room.told_seq == hub.last:
                    continue
                room.told_seq = hub.last
            room.push(0, self._beat_of(hub, beats))
            has_beaten = True
        if isinstance(stream, RoomsStream) and len(known) == len(hubs):
            # Of all the others it says that they have not moved.
            stream.push(0, frames.heartbeat_event("", self._clock.now(), 0))
        elif not has_beaten:
            room, hub = known[0]
            room.push(0, self._beat_of(hub, beats))
        stream.heartbeat_at = now
        return len(hubs)

    def _beat_of(self, hub: RoomHub, beats: dict[tuple[RoomUid, int], bytes]) -> bytes:
        key = hub.room_uid, hub.last
        if key not in beats:
            beats[key] = frames.heartbeat_event(hub.room_id, self._clock.now(), hub.last)
        return beats[key]

    async def look(self, room_uids: Iterable[RoomUid]) -> None:
        """Bring rooms' hubs up to the heads in the database; DATABASE_UNAVAILABLE when they can't be read."""
        await self._heads.look([self._hubs[uid] for uid in room_uids if uid in self._hubs])


def _ending(streams: Iterable[Subscription | RoomsStream], error: Callable[[], ChatkitError]) -> Iterator[int]:
    for stream in streams:
        stream.end(error())
        # Its rooms leave their hubs when it has ended.
        yield WAKING + (len(stream.rooms) if isinstance(stream, RoomsStream) else 0)


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
