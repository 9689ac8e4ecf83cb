"""How users follow rooms: on a stream of one room, of several, or of all that a device shows; each resumes the last."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, field

from chatkit_client import ChatkitError
from chatkit_client.types import (
    Outcome,
    Position,
    PresencePart,
    PresenceState,
    RoomEvent,
    RoomSubscription,
    RoomToFollow,
    SubscribeRequest,
    SubscribeRoomRequest,
    SubscribeRoomsRequest,
    SyncEvent,
)
from services.stack.proof.clients.work import Person, Work, entry_of, now
from services.stack.proof.history import Arrival, Entry, Stream

_PAUSE_SECONDS = 0.05
# After how many events at most a reader comes anew.
_MOST_EVENTS = 120
_RESUMED = Outcome.Value("OUTCOME_RESUMED")
_ONLINE = PresenceState.Value("PRESENCE_STATE_ONLINE")

Places = Mapping[str, Position]
Way = Callable[[Work, Person, "Follower"], AsyncGenerator[RoomEvent, None]]


async def one_room(work: Work, person: Person, follower: "Follower") -> AsyncGenerator[RoomEvent, None]:
    """Yield what a stream of the follower's only room brings."""
    del work
    room_id = follower.rooms[0]
    request = SubscribeRoomRequest(room_id=room_id, after=follower.places.get(room_id))
    async with aclosing(person.client.stream(request)) as frames:
        async for frame in frames:
            for event in frame.events:
                # It names no room, because there is only one.
                event.room_id = room_id
                yield event


async def several_rooms(work: Work, person: Person, follower: "Follower") -> AsyncGenerator[RoomEvent, None]:
    """Yield what a stream of all the follower's rooms brings."""
    del work
    rooms = [RoomSubscription(room_id=one, after=follower.places.get(one)) for one in follower.rooms]
    request = SubscribeRoomsRequest(rooms=rooms, follow_memberships=True)
    async with aclosing(person.client.stream(request)) as frames:
        async for frame in frames:
            for event in frame.events:
                yield event


async def device(work: Work, person: Person, follower: "Follower") -> AsyncGenerator[RoomEvent, None]:
    """Yield what a device's stream brings of rooms; of the rest the follower keeps how it stands."""
    others = [one.user_id for one in work.people]
    request = SubscribeRequest(
        rooms=[RoomToFollow(room_id=one, after=follower.places.get(one)) for one in follower.rooms],
        follow_memberships=True,
        include_read_states=True,
        presence=PresencePart(online=True, watch_user_ids=others),
    )
    async with aclosing(person.client.stream(request)) as frames:
        async for frame in frames:
            for event in frame.events:
                if event.WhichOneof("event") == "room":
                    yield event.room
                else:
                    follower.hear(event)


@dataclass
class Follower:
    """Somebody who follows rooms on one stream after the other, in one way."""

    work: Work
    person: Person
    way: Way
    rooms: list[str]
    places: dict[str, Position] = field(default_factory=dict)
    # Who is online, as the last stream has told it.
    online: dict[str, bool] = field(default_factory=dict)
    _readers: dict[str, "_Reader"] = field(default_factory=dict)

    async def follow(self) -> None:
        """Follow until all is over."""
        while not self.work.is_over.is_set():
            await self._read(self.work.chance.randrange(_MOST_EVENTS))
            await asyncio.sleep(_PAUSE_SECONDS)

    async def read_to_the_end(self, ends: Mapping[str, int]) -> None:
        """Follow until the end of each log has come, or does not."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.work.patience_seconds):
                while not self._has_all(ends):
                    await self._read(None, ends)
                    await asyncio.sleep(_PAUSE_SECONDS)

    async def stay(self) -> None:
        """Follow for good."""
        while True:
            await self._read(None)
            await asyncio.sleep(_PAUSE_SECONDS)

    def hear(self, event: SyncEvent) -> None:
        """Take what a device's stream tells beside rooms."""
        if event.WhichOneof("event") != "presence":
            return
        name = event.presence.WhichOneof("event")
        if name in ("presence", "presence_changed"):
            told = getattr(event.presence, name)
            self.online[told.user_id] = told.state == _ONLINE

    def _has_all(self, ends: Mapping[str, int]) -> bool:
        return all(one in self.places and self.places[one].seq >= ends[one] for one in self.rooms)

    async def _read(self, most: int | None, ends: Mapping[str, int] | None = None) -> None:
        """Read a stream until it ends, has brought so many events, or has brought all there is."""
        events, is_end = 0, False
        try:
            async with aclosing(self.way(self.work, self.person, self)) as stream:
                async for event in stream:
                    self._take(event)
                    events += entry_of(event) is not None
                    if ends is not None and self._has_all(ends):
                        return
                    if most is not None and (events > most or self.work.is_over.is_set()):
                        return
        except ChatkitError:
            pass
        except asyncio.CancelledError:
            # It was open all the time that there was.
            is_end = ends is not None
            raise
        finally:
            for reader in self._readers.values():
                self._record(reader, is_end=is_end)
            self._readers.clear()

    def _take(self, event: RoomEvent) -> None:
        room_id = event.room_id
        if room_id not in self.rooms:
            return
        if event.WhichOneof("event") == "opened":
            if (before := self._readers.pop(room_id, None)) is not None:
                self._record(before, is_end=False)
            self._readers[room_id] = _Reader(room_id, self.person.user_id, self.places.get(room_id), event)
        elif (reader := self._readers.get(room_id)) is not None:
            reader.take(event)
            if reader.position is not None:
                self.places[room_id] = reader.position

    def _record(self, reader: "_Reader", *, is_end: bool) -> None:
        if reader.is_caught_up:
            self.work.history.streams.append(reader.recorded(is_end=is_end))


class _Reader:
    """What a stream has brought of one room since it was opened there."""

    def __init__(self, room_id: str, user_id: str, asked: Position | None, event: RoomEvent) -> None:
        self._room_id, self._user_id = room_id, user_id
        self._asked = asked if asked is not None else Position()
        self._head = event.opened.position
        self._opened = now()
        self._is_resumed = event.opened.outcome == _RESUMED
        self._after = self._asked.seq if self._is_resumed else 0
        self._snapshot: list[Entry] = []
        self._arrivals: list[Arrival] = []
        self.is_caught_up = False
        self.position: Position | None = None

    def take(self, event: RoomEvent) -> None:
        """Take the next event."""
        if event.WhichOneof("event") == "caught_up":
            self.is_caught_up = True
            if not self._is_resumed:
                self._after = event.caught_up.seq
            self._move(max(event.caught_up.seq, self._after))
        elif (entry := entry_of(event)) is not None:
            if self._is_resumed or self.is_caught_up:
                self._arrivals.append(Arrival(entry, now()))
                self._move(entry.seq)
            else:
                self._snapshot.append(entry)

    def recorded(self, *, is_end: bool) -> Stream:
        """Return it as the history has it."""
        return Stream(
            self._room_id,
            self._user_id,
            self._opened,
            self._is_resumed,
            self._after,
            self._asked.seq,
            self._asked.epoch,
            self._head.epoch,
            self._head.seq,
            tuple(self._snapshot),
            tuple(self._arrivals),
            was_read_to_the_end=is_end,
        )

    def _move(self, seq: int) -> None:
        self.position = Position(epoch=self._head.epoch, seq=seq)
