"""SubscribeUser as a client sees it: the stream event by event, and the state that its events fold to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest
from chatkit.contract.v1 import error_reason_pb2, stream_pb2
from chatkit.rooms.v1 import room_pb2, user_event_pb2
from chatkit.rooms.v1 import rooms_service_pb2 as pb2
from chatkit.rooms.v1.rooms_service_pb2_grpc import RoomsServiceStub
from chatkit.users.v1 import user_pb2

from tests.support.eventually import HANG_SECONDS
from tests.support.suite import Suite
from tests.support.tokens import Metadata, user

# A room as the contract shows it, and its members.
Shown = tuple[room_pb2.Room, list[str]]


class Folded:
    """What a client knows: each event is applied as it comes."""

    def __init__(self) -> None:
        self.is_caught_up = False
        self.is_resumed = False
        self.users: dict[str, user_pb2.User] = {}
        self._rooms: dict[str, room_pb2.Room] = {}
        self._members: dict[str, set[str]] = {}

    @property
    def rooms(self) -> dict[str, Shown]:
        """The rooms; their members are those of the last `membership`, moved by what followed."""
        shown = {}
        for room_id, room in self._rooms.items():
            counted = room_pb2.Room()
            counted.CopyFrom(room)
            counted.member_count = len(self._members[room_id])
            shown[room_id] = counted, sorted(self._members[room_id])
        return shown

    def know(self, one: user_pb2.User) -> None:
        """Keep a copy of a user, unless there is a newer one."""
        known = self.users.get(one.id)
        if known is None or known.update_time.ToNanoseconds() <= one.update_time.ToNanoseconds():
            self.users[one.id] = one

    def name_of(self, room_id: str) -> str:
        """Return a room's name, or an empty string for a room that is not there."""
        return str(self._rooms[room_id].name) if room_id in self._rooms else ""

    def apply(self, event: user_event_pb2.UserEvent) -> None:
        """Take one event in."""
        match event.WhichOneof("event"):
            case "opened":
                self.know(event.opened.user)
                self.is_resumed = event.opened.resumed
                if not self.is_resumed:
                    # The state follows.
                    self._rooms.clear()
                    self._members.clear()
            case "user_updated":
                self.know(event.user_updated)
            case "caught_up":
                assert event.caught_up.room_count == (0 if self.is_resumed else len(self._rooms))
                self.is_caught_up = True
            case "room" | "added_to_room" as kind:
                of_user = getattr(event, kind)
                self._rooms[of_user.room.id] = of_user.room
                self._members[of_user.room.id] = set(of_user.membership.user_ids)
            case "removed_from_room" | "room_deleted" as kind:
                room_id = getattr(event, kind).room_id
                self._rooms.pop(room_id, None)
                self._members.pop(room_id, None)
            case "room_updated" if event.room_updated.id in self._rooms:
                self._rooms[event.room_updated.id] = event.room_updated
            case "member_joined" if event.member_joined.room_id in self._members:
                self._members[event.member_joined.room_id].add(event.member_joined.user_id)
            case "member_left" if event.member_left.room_id in self._members:
                self._members[event.member_left.room_id].discard(event.member_left.user_id)


class UserReader:
    """An open stream, read event by event."""

    def __init__(self, call: "grpc.aio.UnaryStreamCall[pb2.SubscribeUserRequest, pb2.SubscribeUserResponse]") -> None:
        self.call = call
        self.folded = Folded()
        # The sizes of the frames so far.
        self.frames: list[int] = []
        self._events = self._read()

    async def next(self) -> user_event_pb2.UserEvent:
        """Return the next event."""
        async with asyncio.timeout(HANG_SECONDS):
            return await anext(self._events)

    async def until(self, kind: str) -> list[user_event_pb2.UserEvent]:
        """Return the events up to the first one of a kind, that one included."""
        seen = [await self.next()]
        while seen[-1].WhichOneof("event") != kind:
            seen.append(await self.next())
        return seen

    async def told(self, count: int) -> list[str]:
        """Return so many events in short, heartbeats passed over."""
        seen: list[str] = []
        while len(seen) < count:
            event = await self.next()
            if not event.HasField("heartbeat"):
                seen.append(short(event))
        return seen

    async def closed(self) -> stream_pb2.StreamClosed:
        """Return the stream's last word; the status says the same."""
        closed = (await self.until("closed"))[-1].closed
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await self.next()
        assert ended.value.code().value[0] == closed.code
        return closed

    async def _read(self) -> AsyncIterator[user_event_pb2.UserEvent]:
        async for frame in self.call:
            self.frames.append(frame.ByteSize())
            for event in frame.events:
                self.folded.apply(event)
                yield event


def short(event: user_event_pb2.UserEvent) -> str:
    """Say in a few words what an event tells."""
    kind = str(event.WhichOneof("event"))
    told = getattr(event, kind)
    match kind:
        case "opened":
            words = [told.user.id]
        case "room" | "added_to_room":
            words = [told.room.id, ",".join(told.membership.user_ids)]
        case "caught_up":
            words = [f"{told.room_count}"]
        case "user_updated" | "room_updated":
            words = [told.id, told.name]
        case "removed_from_room" | "room_deleted":
            words = [told.room_id]
        case "user_deleted":
            words = [told.user_id]
        case "member_joined" | "member_left":
            words = [told.room_id, told.user_id]
        case _:
            words = []
    return " ".join([kind, *words])


def reason(closed: stream_pb2.StreamClosed) -> str:
    """Return the reason's name as errors carry it."""
    return error_reason_pb2.ErrorReason.Name(closed.reason)


@asynccontextmanager
async def reading(
    suite: Suite, who: str, *, metadata: Metadata | None = None, channel: grpc.aio.Channel | None = None, of: str = ""
) -> AsyncIterator[UserReader]:
    """Subscribe while the context is open."""
    stub = RoomsServiceStub(channel or suite.channel("rooms"))
    call = stub.SubscribeUser(pb2.SubscribeUserRequest(user_id=of), metadata=metadata or user(who))
    try:
        yield UserReader(call)
    finally:
        call.cancel()


async def listed(suite: Suite, who: str) -> dict[str, Shown]:
    """Return a user's rooms as ListUserRooms tells them."""
    found: dict[str, Shown] = {}
    request = pb2.ListUserRoomsRequest(page_size=100)
    while True:
        page = await suite.rooms.ListUserRooms(request, metadata=user(who))
        for room, membership in zip(page.rooms, page.memberships, strict=True):
            found[room.id] = room, list(membership.user_ids)
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token
