"""A stream of presence as a test reads it."""

import asyncio
from collections import deque
from datetime import timedelta
from typing import Any

import grpc
from chatkit.contract.v1 import error_reason_pb2, stream_pb2
from chatkit.users.v1 import presence_event_pb2 as event_pb2
from chatkit.users.v1 import presence_service_pb2 as pb2
from chatkit.users.v1.presence_service_pb2_grpc import PresenceServiceStub

from tests.support.eventually import HANG_SECONDS
from tests.support.refusals import refused
from tests.support.tokens import Metadata, user

ONLINE, OFFLINE = event_pb2.PRESENCE_STATE_ONLINE, event_pb2.PRESENCE_STATE_OFFLINE


class PresenceStream:
    """One SubscribePresence, read event by event."""

    def __init__(
        self, channel: grpc.aio.Channel, user_id: str, *watched: str, online: bool = False, metadata: Metadata = ()
    ) -> None:
        stub: Any = PresenceServiceStub(channel)
        request = pb2.SubscribePresenceRequest(online=online, watch_user_ids=watched)
        self.call: Any = stub.SubscribePresence(request, metadata=metadata or user(user_id))
        self._events: deque[event_pb2.PresenceEvent] = deque()

    async def next(self) -> event_pb2.PresenceEvent:
        """Return the next event that is no heartbeat."""
        async with asyncio.timeout(HANG_SECONDS):
            while True:
                while not self._events:
                    frame = await self.call.read()
                    assert frame is not grpc.aio.EOF, await self.call.code()
                    self._events.extend(frame.events)
                event = self._events.popleft()
                if not event.HasField("heartbeat"):
                    return event

    async def opened(self) -> dict[str, int]:
        """Read up to `caught_up`, and return the state."""
        assert (await self.next()).HasField("opened")
        state: dict[str, int] = {}
        while True:
            event = await self.next()
            if event.HasField("caught_up"):
                return state
            assert event.HasField("presence"), event
            assert event.presence.user_id not in state
            state[event.presence.user_id] = event.presence.state

    async def change(self) -> tuple[str, int]:
        """Return the next change."""
        event = await self.next()
        assert event.HasField("presence_changed"), event
        assert event.time == event.presence_changed.change_time
        return event.presence_changed.user_id, event.presence_changed.state

    async def closed(self) -> str:
        """Read to the end, and return the reason, which the status repeats."""
        while True:
            event = await self.next()
            if event.HasField("closed"):
                break
        reason = error_reason_pb2.ErrorReason.Name(event.closed.reason)
        async with asyncio.timeout(HANG_SECONDS):
            error = await refused(self.call.read(), reason)
        assert (error.code.value[0], error.retry_after) == (event.closed.code, _duration(event.closed))
        return reason

    def hang_up(self) -> None:
        """Go without a word."""
        self.call.cancel()


def _duration(closed: stream_pb2.StreamClosed) -> timedelta | None:
    return closed.retry_after.ToTimedelta() if closed.HasField("retry_after") else None


async def online(channel: grpc.aio.Channel, user_id: str) -> PresenceStream:
    """Open a stream that makes a user online."""
    stream = PresenceStream(channel, user_id, online=True)
    assert await stream.opened() == {}
    return stream
