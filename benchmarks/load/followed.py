"""Streams of a thousand rooms each at one process, more of them each time, and a sender beside them.

Most rooms are idle, so a stream is sent heartbeats: how long it hears nothing says whether the process stood still.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import grpc
from chatkit.contract.v1 import error_reason_pb2
from chatkit.messages.v1 import messages_service_pb2 as pb2
from chatkit.messages.v1 import messages_service_pb2_grpc as pb2_grpc
from chatkit.messages.v1 import room_subscription_pb2

from benchmarks.load import steady
from benchmarks.load.jobs import FollowedJob
from benchmarks.load.timing import Window

_STREAMS_PER_CHANNEL = 10
_OPENED_AT_ONCE = 4
_OPENING_SECONDS = 120.0


class _Stream:
    """One open stream, and when something came on it."""

    def __init__(self) -> None:
        self.rooms = 0
        self.refused = 0
        # Why rooms, or the stream, were closed.
        self.reasons: set[str] = set()
        self.has_ended = False
        self.is_caught_up = asyncio.Event()
        self.heard_at = 0.0
        self.longest = 0.0

    async def read(self, call: Any) -> None:
        try:
            async for frame in call:
                self._hear(frame.events)
        except grpc.aio.AioRpcError:
            pass
        finally:
            self.has_ended = True
            self.is_caught_up.set()

    def _hear(self, events: Sequence[Any]) -> None:
        self.look()
        self.heard_at = time.monotonic()
        for event in events:
            self.rooms += event.HasField("opened") and bool(event.room_id)
            if event.HasField("closed"):
                self.refused += 1
                self.reasons.add(error_reason_pb2.ErrorReason.Name(event.closed.reason))
            if event.HasField("caught_up") and not event.room_id:
                self.is_caught_up.set()

    def begin(self) -> None:
        """Count silence from now on."""
        self.heard_at, self.longest = time.monotonic(), 0.0

    def look(self) -> float:
        """Return the longest silence until now."""
        if not self.has_ended:
            # What has ended is told as lost.
            self.longest = max(self.longest, time.monotonic() - self.heard_at)
        return self.longest


async def run(job: FollowedJob) -> dict[str, Any]:
    """Follow more and more rooms, and return what was found with each number of them."""
    found: list[dict[str, Any]] = []
    streams: list[_Stream] = []
    channels: list[Any] = []
    tasks: list[asyncio.Task[None]] = []
    at_once = asyncio.Semaphore(_OPENED_AT_ONCE)

    async def opened(request: pb2.SubscribeRoomsRequest, token: str, channel: Any) -> None:
        stream = _Stream()
        streams.append(stream)
        async with at_once, asyncio.timeout(_OPENING_SECONDS):
            call = pb2_grpc.MessagesServiceStub(channel).SubscribeRooms(request, metadata=steady.bearer(token))
            tasks.append(asyncio.create_task(stream.read(call)))
            await stream.is_caught_up.wait()

    async with grpc.aio.insecure_channel(job.address, options=steady.OWN_CONNECTION) as sending:
        try:
            for parts in job.streams:
                began = time.monotonic()
                async with asyncio.TaskGroup() as group:
                    for number, (token, room_ids) in enumerate(parts):
                        if number % _STREAMS_PER_CHANNEL == 0:
                            channels.append(grpc.aio.insecure_channel(job.address, options=steady.OWN_CONNECTION))
                        group.create_task(opened(_request(room_ids), token, channels[-1]))
                took = time.monotonic() - began
                found.append({"opening_seconds": took, **await _measured(job, streams, sending, len(found))})
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for channel in channels:
                await channel.close()
    return {"found": found}


def _request(room_ids: Sequence[str]) -> pb2.SubscribeRoomsRequest:
    rooms = [room_subscription_pb2.RoomSubscription(room_id=room_id, last=0) for room_id in room_ids]
    return pb2.SubscribeRoomsRequest(rooms=rooms)


async def _measured(job: FollowedJob, streams: list[_Stream], channel: Any, number: int) -> dict[str, Any]:
    window = Window(job.groups)
    for stream in streams:
        stream.begin()
    window.begin()
    refused = await steady.send(
        channel, job.room, job.per_second, window, f"{job.namespace}-{number}", lambda seconds: seconds >= job.seconds
    )
    window.end()
    return {
        **window.report(),
        "rooms": sum(stream.rooms for stream in streams),
        "refused": refused + sum(stream.refused for stream in streams),
        "lost": sum(stream.has_ended for stream in streams),
        "reasons": sorted({reason for stream in streams for reason in stream.reasons}),
        "longest_silence_seconds": max((stream.look() for stream in streams), default=0.0),
    }
