"""A server of devices that plays a script: what each stream sends, and what it was asked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

import grpc
from chatkit.sync.v1 import sync_service_pb2_grpc

from chatkit_client.proto.contract.v1 import stream_pb2
from chatkit_client.proto.messages.v1 import room_event_pb2
from chatkit_client.proto.rooms.v1 import membership_pb2, room_pb2, user_event_pb2, user_position_pb2
from chatkit_client.proto.sync.v1 import sync_event_pb2
from chatkit_client.proto.sync.v1 import sync_service_pb2 as pb2
from chatkit_client.proto.users.v1 import presence_event_pb2, user_pb2
from services.runtime.contract.errors import NotFound
from tests.clients import scripted

Event = sync_event_pb2.SyncEvent
OPENED = Event(opened=sync_event_pb2.SyncOpened(stream_id="stream"))
CAUGHT_UP = Event(caught_up=sync_event_pb2.SyncCaughtUp())
EXPIRING = Event(token_expiring=stream_pb2.TokenExpiring())


def in_room(*events: room_event_pb2.RoomEvent, room_id: str = "lobby") -> list[Event]:
    """Return events of a room."""
    return [Event(room=event) for event in scripted.of(room_id, *events)]


def heartbeat(*behind: str) -> Event:
    """Return a sign of life that names the parts that are behind."""
    return Event(heartbeat=sync_event_pb2.SyncHeartbeat(behind=behind))


def user_opened(*, resumed: bool = False) -> Event:
    """Return the opening of the user's part."""
    opened = user_event_pb2.UserOpened(user=user_pb2.User(id="alice"), resumed=resumed)
    return Event(user=user_event_pb2.UserEvent(opened=opened))


def user_room(room_id: str, *members: str) -> Event:
    """Return a room of the user."""
    of_user = user_event_pb2.RoomOfUser(
        room=room_pb2.Room(id=room_id), membership=membership_pb2.Membership(room_id=room_id, user_ids=members)
    )
    return Event(user=user_event_pb2.UserEvent(room=of_user))


def user_left(room_id: str) -> Event:
    """Return that the user is no member any more."""
    left = user_event_pb2.RemovedFromRoom(room_id=room_id)
    return Event(user=user_event_pb2.UserEvent(removed_from_room=left))


def user_caught_up(version: int) -> Event:
    """Return the end of the user's state, or of what was missed."""
    position = user_position_pb2.UserPosition(rooms_version=version)
    return Event(user=user_event_pb2.UserEvent(caught_up=user_event_pb2.UserCaughtUp(), position=position))


def presence(user_id: str) -> Event:
    """Return that somebody is there."""
    there = presence_event_pb2.Presence(user_id=user_id, state="PRESENCE_STATE_ONLINE")
    return Event(presence=presence_event_pb2.PresenceEvent(presence_changed=there))


def part_closed(part: str, code: int, reason: str) -> Event:
    """Return the end of a part."""
    closed = stream_pb2.StreamClosed(code=code, reason=reason)
    return Event(part_closed=sync_event_pb2.PartClosed(part=part, closed=closed))


@dataclass
class Devices(sync_service_pb2_grpc.SyncServiceServicer):
    """The streams to play, one per call: each goes on when `go` is set, and then breaks off unless it is the last."""

    streams: list[list[Event]]
    requests: list[pb2.SubscribeRequest] = field(default_factory=list)
    updates: list[pb2.UpdateSubscriptionRequest] = field(default_factory=list)
    renewals: list[str] = field(default_factory=list)
    # How often a stream that is named is not found.
    lost: int = 0
    # How often a change fails in passing.
    away: int = 0
    _more: asyncio.Queue[Event] = field(default_factory=asyncio.Queue)

    def send(self, *events: Event) -> None:
        """Send more on the last stream."""
        for event in events:
            self._more.put_nowait(event)

    async def Subscribe(self, request: pb2.SubscribeRequest, context: Any) -> AsyncIterator[pb2.SubscribeResponse]:
        self.requests.append(request)
        for event in self.streams[min(len(self.requests), len(self.streams)) - 1]:
            yield pb2.SubscribeResponse(events=[event])
        if len(self.requests) < len(self.streams):
            await context.abort(grpc.StatusCode.UNAVAILABLE, "scripted")
        while True:
            yield pb2.SubscribeResponse(events=[await self._more.get()])

    async def UpdateSubscription(
        self, request: pb2.UpdateSubscriptionRequest, context: Any
    ) -> pb2.UpdateSubscriptionResponse:
        if self.away:
            self.away -= 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "scripted")
        if self.lost:
            self.lost -= 1
            await scripted.refuse(context, NotFound("STREAM_NOT_FOUND", "scripted"))
        self.updates.append(request)
        return pb2.UpdateSubscriptionResponse()

    async def RenewToken(self, request: pb2.RenewTokenRequest, context: Any) -> pb2.RenewTokenResponse:
        self.renewals.append(dict(context.invocation_metadata())["authorization"].removeprefix("Bearer "))
        return pb2.RenewTokenResponse()


def serve(devices: Devices) -> AbstractAsyncContextManager[str]:
    """Serve a script, and give its address."""
    return scripted.serve(devices, sync_service_pb2_grpc.add_SyncServiceServicer_to_server)
