"""A server of messages that plays a script: what each stream sends, and how it ends."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import grpc
from chatkit.messages.v1 import messages_service_pb2_grpc
from google.protobuf import duration_pb2

from chatkit_client.proto.messages.v1 import message_pb2, position_pb2, read_cursor_pb2, room_event_pb2
from chatkit_client.proto.messages.v1 import messages_service_pb2 as pb2
from services.runtime.contract.errors import (
    DETAILS_KEY,
    ChatkitError,
    OutOfRange,
    Unimplemented,
    class_of,
    to_status,
)

EPOCH = "epoch"
Event = room_event_pb2.RoomEvent
# How a stream ends: by hanging, by a reason of the contract, or by a bare code, as when a proxy dies.
HANG = "hang"


def position(seq: int, epoch: str = EPOCH) -> position_pb2.Position:
    """Return a position of the scripted log."""
    return position_pb2.Position(epoch=epoch, seq=seq)


def resumed(seq: int) -> Event:
    """Return the opening of a stream that resumes."""
    return Event(opened=room_event_pb2.Opened(position=position(seq), outcome="OUTCOME_RESUMED", oldest_seq=1))


def snapshot(reason: str, seq: int, first_seq: int = 0, *, oldest_seq: int = 1, epoch: str = EPOCH) -> Event:
    """Return the opening of a stream that starts with a snapshot."""
    opened = room_event_pb2.Opened(
        position=position(seq, epoch),
        outcome="OUTCOME_SNAPSHOT",
        reason=f"SNAPSHOT_REASON_{reason}",
        first_seq=first_seq,
        oldest_seq=oldest_seq,
    )
    return Event(opened=opened)


def message(seq: int) -> Event:
    """Return the event of a message."""
    return Event(room_id="lobby", seq=seq, message_created=message_pb2.Message(room_id="lobby", seq=seq, revision=seq))


def cursor(seq: int, revision: int) -> Event:
    """Return where somebody's read cursor stands."""
    return Event(room_id="lobby", cursor_set=read_cursor_pb2.ReadCursor(room_id="lobby", seq=seq, revision=revision))


def typing() -> Event:
    """Return that somebody is typing."""
    return Event(room_id="lobby", typing=room_event_pb2.Typing(user_id="alice"))


def edited(seq: int, message_seq: int) -> Event:
    """Return the event of an edit."""
    message = message_pb2.Message(room_id="lobby", seq=message_seq, revision=seq)
    return Event(room_id="lobby", seq=seq, message_edited=message)


def caught_up(seq: int) -> Event:
    """Return the end of a replay."""
    return Event(caught_up=room_event_pb2.CaughtUp(seq=seq))


def heartbeat(seq: int) -> Event:
    """Return a sign of life."""
    return Event(heartbeat=room_event_pb2.Heartbeat(head_seq=seq))


def closed(reason: str, seq: int) -> Event:
    """Return the last event of a stream that the server ends."""
    soon = duration_pb2.Duration()
    soon.FromTimedelta(timedelta(milliseconds=10))
    return Event(
        closed=room_event_pb2.Closed(
            code=class_of(reason).code.value[0], reason=reason, position=position(seq), retry_after=soon
        )
    )


def of(room_id: str, *events: Event) -> list[Event]:
    """Return events as those of a room of several."""
    copies = [Event.FromString(event.SerializeToString()) for event in events]
    for copy in copies:
        copy.room_id = room_id
    return copies


@dataclass
class Script(messages_service_pb2_grpc.MessagesServiceServicer):
    """The streams to play, one per call, and the log that pages are read from."""

    streams: list[tuple[list[Event], str | grpc.StatusCode | ChatkitError]] = field(default_factory=list)
    log: list[int] = field(default_factory=list)
    # The events that pages of the log show; None plays a server that has no such pages.
    events: list[Event] | None = None
    # What is older is gone by retention.
    oldest_seq: int = 1
    requests: list[pb2.SubscribeRoomRequest] = field(default_factory=list)
    rooms_requests: list[pb2.SubscribeRoomsRequest] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    refusals: list[ChatkitError] = field(default_factory=list)
    calls: int = 0
    hanging: asyncio.Event = field(default_factory=asyncio.Event)

    async def SubscribeRoom(
        self, request: pb2.SubscribeRoomRequest, context: Any
    ) -> AsyncIterator[pb2.SubscribeRoomResponse]:
        self.requests.append(request)
        async for event in self._play(context):
            yield pb2.SubscribeRoomResponse(events=[event])

    async def SubscribeRooms(
        self, request: pb2.SubscribeRoomsRequest, context: Any
    ) -> AsyncIterator[pb2.SubscribeRoomsResponse]:
        self.rooms_requests.append(request)
        async for event in self._play(context):
            yield pb2.SubscribeRoomsResponse(events=[event])

    async def _play(self, context: Any) -> AsyncIterator[Event]:
        self.tokens.append(dict(context.invocation_metadata())["authorization"].removeprefix("Bearer "))
        events, ending = self.streams[min(len(self.tokens), len(self.streams)) - 1]
        for event in events:
            yield event
        if ending == HANG:
            self.hanging.set()
            await asyncio.Event().wait()
        elif isinstance(ending, str):
            await refuse(context, class_of(ending)(ending, "scripted"))
        elif isinstance(ending, ChatkitError):
            await refuse(context, ending)
        else:
            await context.abort(ending, "scripted")

    async def ListMessages(self, request: pb2.ListMessagesRequest, context: Any) -> pb2.ListMessagesResponse:
        self.calls += 1
        if self.refusals:
            await refuse(context, self.refusals.pop(0))
        newer = [seq for seq in self.log if seq > request.from_seq]
        page = newer[: request.page_size or 2]
        messages = [message(seq).message_created for seq in page]
        return pb2.ListMessagesResponse(messages=messages, next_page_token="more" if len(newer) > len(page) else "")

    async def ListRoomEvents(self, request: pb2.ListRoomEventsRequest, context: Any) -> pb2.ListRoomEventsResponse:
        if self.events is None:
            await refuse(context, Unimplemented("METHOD_NOT_FOUND", "scripted"))
            raise AssertionError
        self.calls += 1
        start = int(request.page_token or request.after.seq)
        if start < self.oldest_seq - 1:
            await refuse(context, OutOfRange("HISTORY_GONE", "scripted"))
        newer = [event for event in self.events if event.seq > start]
        page = newer[:2]
        token = str(page[-1].seq) if len(newer) > len(page) else ""
        return pb2.ListRoomEventsResponse(events=page, next_page_token=token)


async def refuse(context: Any, error: ChatkitError) -> None:
    """End a call as the suite does."""
    await context.abort(error.code, error.message, ((DETAILS_KEY, to_status(error).SerializeToString()),))


class HastyClock:
    """A clock on which short waits are over at once, and long ones when the test says so."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self._elapsed = 0.0
        self._moved = asyncio.Event()

    def monotonic(self) -> float:
        """Return what the waits add up to."""
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        """Return at once from less than ten seconds."""
        self.slept.append(seconds)
        if seconds < 10:
            self._elapsed += seconds
            await asyncio.sleep(0)
            return
        end = self._elapsed + seconds
        while self._elapsed < end:
            self._moved.clear()
            await self._moved.wait()

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._elapsed += seconds
        self._moved.set()


@asynccontextmanager
async def serve(script: Any, add: Callable[[Any, Any], None] | None = None) -> AsyncIterator[str]:
    """Serve a script, of messages unless it is said how it is added to a server, and give its address."""
    server = grpc.aio.server()
    (add or messages_service_pb2_grpc.add_MessagesServiceServicer_to_server)(script, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)
