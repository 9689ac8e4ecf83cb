"""Short ways to send, to subscribe, and to read what comes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from chatkit.messages.v1 import message_pb2, part_pb2, position_pb2, room_event_pb2
from chatkit.messages.v1 import messages_service_pb2 as pb2
from chatkit.messages.v1.room_subscription_pb2 import RoomSubscription

from tests.support.eventually import HANG_SECONDS
from tests.support.peers import Peers
from tests.support.suite import Suite
from tests.support.tokens import Metadata, user

_Call = (
    grpc.aio.UnaryStreamCall[pb2.SubscribeRoomRequest, pb2.SubscribeRoomResponse]
    | grpc.aio.UnaryStreamCall[pb2.SubscribeRoomsRequest, pb2.SubscribeRoomsResponse]
)


def text(content: str, request_id: str, room_id: str = "lobby", **fields: Any) -> pb2.SendMessageRequest:
    """Return a send of one part of text."""
    part = part_pb2.Part(content_type="text/plain", content=content)
    return pb2.SendMessageRequest(room_id=room_id, parts=[part], request_id=request_id, **fields)


def in_room(
    room_id: str,
    *,
    after: position_pb2.Position | None = None,
    last: int | None = None,
    most: int | None = None,
) -> RoomSubscription:
    """Return where a room of several starts, and the most messages that it begins with when it can't resume."""
    return RoomSubscription(room_id=room_id, after=after, last=last, max_snapshot_messages=most)


class Reader:
    """An open stream, read event by event."""

    def __init__(self, call: _Call) -> None:
        self.call = call
        self._events = self._read()

    async def next(self) -> room_event_pb2.RoomEvent:
        """Return the next event."""
        async with asyncio.timeout(HANG_SECONDS):
            return await anext(self._events)

    async def until(self, kind: str) -> list[room_event_pb2.RoomEvent]:
        """Return the events up to the first one of a kind, that one included."""
        seen = [await self.next()]
        while seen[-1].WhichOneof("event") != kind:
            seen.append(await self.next())
        return seen

    async def until_room(self, room_id: str, kind: str) -> list[room_event_pb2.RoomEvent]:
        """Return the events up to the first one of a kind that is about a room, or the stream if it is empty."""
        seen = [await self.next()]
        while (seen[-1].room_id, seen[-1].WhichOneof("event")) != (room_id, kind):
            seen.append(await self.next())
        return seen

    async def until_seq(self, seq: int) -> list[int]:
        """Return the seqs of messages that come, up to one."""
        seen: list[int] = []
        while not seen or seen[-1] < seq:
            event = await self.next()
            if event.HasField("message_created"):
                seen.append(event.seq)
        return seen

    async def _read(self) -> AsyncIterator[room_event_pb2.RoomEvent]:
        async for frame in self.call:
            for event in frame.events:
                yield event


@dataclass
class Chat:
    """The service and its stand-ins."""

    suite: Suite
    peers: Peers

    async def send(self, request: pb2.SendMessageRequest, sender: str = "alice") -> message_pb2.Message:
        """Send a message."""
        response: pb2.SendMessageResponse = await self.suite.messages.SendMessage(request, metadata=user(sender))
        return response.message

    async def send_many(self, count: int, prefix: str = "m", room_id: str = "lobby") -> None:
        """Send so many messages at once."""
        await asyncio.gather(*(self.send(text(f"{n}", f"{prefix}{n}", room_id)) for n in range(count)))

    @asynccontextmanager
    async def reading(
        self,
        *,
        after: position_pb2.Position | None = None,
        last: int | None = None,
        most: int | None = None,
        who: str = "bob",
        room_id: str = "lobby",
        metadata: Metadata | None = None,
        cursors: bool = False,
    ) -> AsyncIterator[Reader]:
        """Subscribe while the context is open; `most` is how many messages there are when it can't resume."""
        request = pb2.SubscribeRoomRequest(
            room_id=room_id, after=after, last=last, max_snapshot_messages=most, include_cursors=cursors
        )
        call = self.suite.messages.SubscribeRoom(request, metadata=metadata or user(who))
        try:
            yield Reader(call)
        finally:
            call.cancel()

    @asynccontextmanager
    async def following(
        self,
        *rooms: str | RoomSubscription,
        who: str = "bob",
        metadata: Metadata | None = None,
        last: int | None = None,
        memberships: bool = False,
        cursors: bool = False,
        read_states: bool = False,
    ) -> AsyncIterator[Reader]:
        """Subscribe to several rooms while the context is open."""
        request = pb2.SubscribeRoomsRequest(
            rooms=[room if isinstance(room, RoomSubscription) else in_room(room) for room in rooms],
            default_last=last,
            follow_memberships=memberships,
            include_cursors=cursors,
            include_read_states=read_states,
        )
        call = self.suite.messages.SubscribeRooms(request, metadata=metadata or user(who))
        try:
            yield Reader(call)
        finally:
            call.cancel()

    async def position(self, seq: int) -> position_pb2.Position:
        """Return a position of the room's log as it is now."""
        async with self.reading(last=0) as reader:
            return position_pb2.Position(epoch=(await reader.next()).opened.position.epoch, seq=seq)

    async def heard(self) -> None:
        """Wait until the service has heard of every change so far."""
        follower = f"follower {self.peers.version}"
        self.peers.members["lobby"].add(follower)
        hold, self.peers.hold = self.peers.hold, None
        async with self.reading(who=follower) as reader:
            await reader.until("caught_up")
            self.peers.remove("lobby", follower)
            await reader.until("closed")
        self.peers.hold = hold
