"""A device as a client would have it: one stream, and what it puts together of its events."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from chatkit.messages.v1 import position_pb2, read_state_pb2, room_event_pb2
from chatkit.rooms.v1 import user_event_pb2, user_position_pb2
from chatkit.sync.v1 import presence_part_pb2, room_to_follow_pb2, sync_event_pb2, user_part_pb2
from chatkit.sync.v1 import sync_service_pb2 as pb2
from chatkit.sync.v1.sync_service_pb2_grpc import SyncServiceStub
from chatkit.users.v1 import presence_event_pb2

from tests.rooms.user_streams.reading import Folded
from tests.support.eventually import HANG_SECONDS
from tests.support.tokens import Metadata

ONLINE = presence_event_pb2.PRESENCE_STATE_ONLINE


@dataclass
class Room:
    """A room as a device knows it."""

    # The contents of messages by their seqs; of a deleted one None.
    messages: dict[int, str | None] = field(default_factory=dict)
    position: position_pb2.Position | None = None
    read_state: read_state_pb2.ReadState | None = None
    is_open: bool = False
    # Every seq of the log in the order in which it came on this device's streams, those of snapshots left out.
    seqs: list[int] = field(default_factory=list)


@dataclass
class State:
    """What a device knows."""

    rooms: dict[str, Room] = field(default_factory=dict)
    user: Folded = field(default_factory=Folded)
    presence: dict[str, int] = field(default_factory=dict)
    user_position: user_position_pb2.UserPosition | None = None

    @property
    def members(self) -> dict[str, set[str]]:
        """The user's rooms with their members."""
        return {room_id: set(members) for room_id, (_, members) in self.user.rooms.items()}

    def take(self, event: sync_event_pb2.SyncEvent) -> None:
        """Apply an event."""
        match event.WhichOneof("event"):
            case "room":
                self._take_room(event.room)
            case "user":
                self._take_user(event.user)
            case "presence":
                self._take_presence(event.presence)
            case "heartbeat" if event.heartbeat.HasField("user_position"):
                self.user_position = event.heartbeat.user_position

    def _take_room(self, event: room_event_pb2.RoomEvent) -> None:
        room = self.rooms.setdefault(event.room_id, Room())
        kind = event.WhichOneof("event")
        if kind == "opened":
            room.is_open = True
            if event.opened.outcome == room_event_pb2.OUTCOME_SNAPSHOT:
                room.messages.clear()
                room.seqs.clear()
                room.position = None
            self._epoch = event.opened.position.epoch
        elif kind == "closed":
            room.is_open = False
        elif kind == "read_state":
            room.read_state = event.read_state
        elif kind == "caught_up":
            room.position = position_pb2.Position(epoch=self._epoch_of(room), seq=event.caught_up.seq)
        elif event.seq:
            self._take_entry(room, event)

    def _epoch_of(self, room: Room) -> str:
        return room.position.epoch if room.position is not None else self._epoch

    def _take_entry(self, room: Room, event: room_event_pb2.RoomEvent) -> None:
        message = getattr(event, str(event.WhichOneof("event")))
        # Whatever happened then, it is shown as it is now.
        is_there = not event.HasField("message_gone") and not message.HasField("delete_time")
        room.messages[message.seq] = message.parts[0].content if is_there else None
        if room.position is not None:
            # Dense, once and in order behind the beginning.
            room.seqs.append(event.seq)
            room.position = position_pb2.Position(epoch=room.position.epoch, seq=event.seq)

    def _take_user(self, event: user_event_pb2.UserEvent) -> None:
        if event.HasField("position"):
            self.user_position = event.position
        if event.HasField("opened") and not event.opened.resumed:
            # Rooms that the state does not tell are none of the user's. In its middle there is no place to go on from.
            self.user_position = None
            known, self.user = self.user.users, Folded()
            for one in known.values():
                self.user.know(one)
        self.user.apply(event)

    def _take_presence(self, event: presence_event_pb2.PresenceEvent) -> None:
        if event.HasField("presence"):
            self.presence[event.presence.user_id] = event.presence.state
        elif event.HasField("presence_changed"):
            self.presence[event.presence_changed.user_id] = event.presence_changed.state


class Device:
    """An open stream, read event by event, and what it has told."""

    def __init__(self, call: Any, state: State | None = None) -> None:
        self.call = call
        self.state = state or State()
        self.stream_id = ""
        self._events = self._read()

    async def next(self) -> sync_event_pb2.SyncEvent:
        """Return the next event."""
        async with asyncio.timeout(HANG_SECONDS):
            event = await anext(self._events)
        if event.HasField("opened"):
            self.stream_id = event.opened.stream_id
        self.state.take(event)
        return event

    async def until(self, kind: str) -> list[sync_event_pb2.SyncEvent]:
        """Return the events up to the first one of a kind, such as `caught_up` or `room.message_created`."""
        seen = [await self.next()]
        while kind not in kinds(seen[-1:])[0]:
            seen.append(await self.next())
        return seen

    async def _read(self) -> AsyncIterator[sync_event_pb2.SyncEvent]:
        async for frame in self.call:
            for event in frame.events:
                yield event


def kinds(events: Sequence[sync_event_pb2.SyncEvent]) -> list[tuple[str, ...]]:
    """Return each event's kind, and for one of a part that within its part, too."""
    found: list[tuple[str, ...]] = []
    for event in events:
        kind = str(event.WhichOneof("event"))
        if kind in {"room", "user", "presence"}:
            found.append((f"{kind}.{getattr(event, kind).WhichOneof('event')}",))
        else:
            found.append((kind,))
    return found


def room(
    room_id: str,
    *,
    detail: "room_to_follow_pb2.RoomDetail" = room_to_follow_pb2.ROOM_DETAIL_UNSPECIFIED,
    after: position_pb2.Position | None = None,
    last: int | None = None,
) -> room_to_follow_pb2.RoomToFollow:
    """Return a room to follow."""
    return room_to_follow_pb2.RoomToFollow(room_id=room_id, detail=detail, after=after, last=last)


def user(after: user_position_pb2.UserPosition | None = None) -> user_part_pb2.UserPart:
    """Return the user's part."""
    return user_part_pb2.UserPart(after=after)


def presence(*watched: str, online: bool = False) -> presence_part_pb2.PresencePart:
    """Return the part of presence."""
    return presence_part_pb2.PresencePart(online=online, watch_user_ids=watched)


@asynccontextmanager
async def following(
    stub: SyncServiceStub, request: pb2.SubscribeRequest, metadata: Metadata, state: State | None = None
) -> AsyncIterator[Device]:
    """Follow while the context is open."""
    call: Any = stub.Subscribe(request, metadata=metadata)
    try:
        yield Device(call, state)
    finally:
        call.cancel()
