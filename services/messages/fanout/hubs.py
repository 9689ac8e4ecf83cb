"""All hubs of a process: they come with a room's first subscriber, go with the last, and are healed by `heads.py`.

A process may follow some 100,000 rooms, so whatever is done with all of them, or with all streams, is done in steps.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta

from services.messages import frames
from services.messages.fanout.deliveries import Deliveries
from services.messages.fanout.heads import Heads, OnLoss
from services.messages.fanout.hub import LogLife, RoomHub, Tally
from services.messages.log.store import LogStore
from services.messages.model import LogEntry
from services.messages.streams.endings import removed
from services.messages.streams.follower import Follower
from services.messages.streams.stream import Stream
from services.runtime.clock import Clock
from services.runtime.contract.absent import room_deleted
from services.runtime.contract.errors import Aborted, ChatkitError, Unavailable
from services.runtime.ids import RoomUid, UserUid
from services.runtime.steps import WAKING, Chores, Pace, each, emptied

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
        deliveries: Deliveries | None = None,
    ) -> None:
        # What is done with all streams or rooms.
        self.chores = Chores()
        self.tally = Tally(deliveries)
        self._store = store
        self._clock = clock
        self._heartbeat_interval = heartbeat_interval
        self._kept = max(_KEPT, most_replayed)
        self._hubs: dict[RoomUid, RoomHub] = {}
        # By user.
        self._streams: dict[str | None, set[Stream]] = {}
        self._life = LogLife()
        self.heads = Heads(
            store,
            clock,
            lambda: list(self._hubs.values()),
            interval=heads_interval,
            heartbeat_interval=heartbeat_interval,
            on_loss=on_loss,
        )

    @property
    def room_count(self) -> int:
        """How many rooms are followed."""
        return len(self._hubs)

    def join(self, room_id: str, subscription: Follower) -> RoomHub:
        """Register a subscriber; from now on it is ended with its room, and given what the hub accepts."""
        hub = self._hubs.get(subscription.room_uid)
        if hub is None:
            hub = RoomHub(subscription.room_uid, room_id, self._store, self._kept, self._life, self.tally)
            self._hubs[subscription.room_uid] = hub
        hub.subscriptions.add(subscription)
        return hub

    def leave(self, subscription: Follower) -> None:
        """Forget a subscriber, and its room's hub with the last one."""
        hub = self._hubs.get(subscription.room_uid)
        if hub is not None:
            hub.subscriptions.discard(subscription)
            if not hub.subscriptions:
                del self._hubs[subscription.room_uid]

    def attach(self, stream: Stream) -> None:
        """Register a stream, whose rooms join for themselves."""
        self._streams.setdefault(stream.query.user_id, set()).add(stream)

    def detach(self, stream: Stream) -> None:
        """Forget a stream, whose rooms leave for themselves."""
        of_user = self._streams.get(stream.query.user_id, set())
        of_user.discard(stream)
        if not of_user:
            self._streams.pop(stream.query.user_id, None)

    # What the committer tells.

    def unknown(self, room_uid: RoomUid) -> None:
        """Look at the room's head at once."""
        hub = self._hubs.get(room_uid)
        if hub is not None:
            self.heads.doubt(hub)

    # What other replicas tell.

    def wants(self, room_uid: RoomUid, seq: int) -> bool:
        """Tell whether somebody here follows the room and was not given its event `seq` yet."""
        hub = self._hubs.get(room_uid)
        return hub is not None and not 0 < seq <= hub.last

    def offer(self, room_uid: RoomUid, entry: LogEntry) -> None:
        """Hand an entry to the room's subscribers, in its turn."""
        hub = self._hubs.get(room_uid)
        if hub is not None:
            self.heads.moved(hub)
            if not hub.offer(entry):
                self.heads.gap(hub)

    def show(self, room_uid: RoomUid, event: bytes, *, author_id: str) -> None:
        """Hand an event that is not in the log to the room's subscribers but for its author."""
        hub = self._hubs.get(room_uid)
        for subscription in hub.subscriptions if hub is not None else ():
            if subscription.query.user_id != author_id:
                subscription.push(0, event)

    def doubt_all(self) -> None:
        """Look at every head at once."""
        self.heads.doubt_all()

    # Endings.

    def end_member(self, room_uid: RoomUid, user_uid: UserUid) -> None:
        """End a removed user's streams of a room; what waits for them is not sent any more."""
        hub = self._hubs.get(room_uid)
        for subscription in hub.subscriptions if hub is not None else ():
            if subscription.user_uid == user_uid:
                subscription.cut(removed(subscription.room_id))

    def end_room(self, room_uid: RoomUid) -> None:
        """End the streams of a deleted room; what waits for them is not sent any more."""
        hub = self._hubs.get(room_uid)
        if hub is not None:
            error = room_deleted(hub.room_id)
            self.chores.put(each(list(hub.subscriptions), lambda one: one.cut(error), WAKING))

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

    def streams(self) -> list[Stream]:
        """List every stream."""
        # No room of a stream is looked at, because this is asked each second.
        return [stream for some in self._streams.values() for stream in some]

    def streams_of(self, user_id: str) -> list[Stream]:
        """List a user's streams; everyone's when it is not known whose."""
        return list(self._streams.get(user_id, ())) if user_id else self.streams()

    def has(self, stream: Stream) -> bool:
        """Tell whether a stream is still there."""
        return stream in self._streams.get(stream.query.user_id, ())

    # What happens by itself.

    async def run(self) -> None:
        """Heal hubs, send heartbeats, and end streams whose time is over, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.heads.run())
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
                queue = stream.queue
                queue.check_progress()
                done = 1 if queue.error is None else WAKING
                if queue.is_open and self._clock.monotonic() - queue.heartbeat_at >= self._heartbeat_interval:
                    done = WAKING + self._beat(stream, beats)
                await pace.did(done)

    def _beat(self, stream: Stream, beats: dict[tuple[RoomUid, int], bytes]) -> int:
        """Send a stream its heartbeat; return how many rooms were looked at.

        It says that the head was read lately: without the database there is none. A room of which nobody knows that
        keeps no other room's back, and the stream gets a sign of life.
        """
        now = self._clock.monotonic()
        rooms = [(room, self._hubs.get(room.room_uid)) for room in stream.followers if room.is_open]
        known = [
            (room, hub)
            for room, hub in rooms
            if hub is not None and now - hub.head_known_at <= self._heartbeat_interval
        ]
        is_all_known = len(known) == len(rooms)
        to_tell = [(room, hub) for room, hub in known if room.must_hear(hub.last)]
        if not to_tell and not is_all_known:
            to_tell = known[:1]
        for room, hub in to_tell:
            room.push(0, self._beat_of(hub, beats))
        if stream.beat(is_all_known=is_all_known) or to_tell:
            stream.queue.heartbeat_at = now
        return len(rooms)

    def _beat_of(self, hub: RoomHub, beats: dict[tuple[RoomUid, int], bytes]) -> bytes:
        key = hub.room_uid, hub.last
        if key not in beats:
            beats[key] = frames.heartbeat_event(hub.room_id, self._clock.now(), hub.last)
        return beats[key]

    async def look(self, room_uids: Iterable[RoomUid]) -> None:
        """Bring rooms' hubs up to the heads in the database; DATABASE_UNAVAILABLE when they can't be read."""
        await self.heads.look([self._hubs[uid] for uid in room_uids if uid in self._hubs])


def _ending(streams: Iterable[Stream], error: Callable[[], ChatkitError]) -> Iterator[int]:
    for stream in streams:
        stream.queue.end(error())
        # Its rooms leave their hubs when it has ended.
        yield WAKING + len(stream.followers)


def shutting_down(delay: timedelta) -> Unavailable:
    """Return the error with which streams end when the process does."""
    return Unavailable(
        "SHUTTING_DOWN",
        "the process is shutting down: resume elsewhere",
        retry_after=delay,
    )
