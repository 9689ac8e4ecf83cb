"""Devices that wait: each follows the user's room, the user, and whether ten others are there, on one stream."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import jwt
from chatkit.sync.v1 import presence_part_pb2, sync_service_pb2, sync_service_pb2_grpc, user_part_pb2

from benchmarks.load import steady
from benchmarks.load.jobs import IdleJob, Room
from benchmarks.usage import memory_bytes

_WATCHED = 10
_OPENED_AT_ONCE = 20
_OPENING_SECONDS = 120.0


class _Device:
    """An open stream."""

    def __init__(self) -> None:
        self.has_ended = False
        self.is_caught_up = asyncio.Event()

    async def read(self, call: Any) -> None:
        try:
            async for frame in call:
                if any(event.HasField("caught_up") for event in frame.events):
                    self.is_caught_up.set()
        except grpc.aio.AioRpcError:
            pass
        finally:
            self.has_ended = True
            self.is_caught_up.set()


async def run(job: IdleJob) -> dict[str, Any]:
    """Open the streams, wait, and return what memory has grown by."""
    # Opened once before, so that what the first streams alone cost is not counted as the others'.
    async with _opened(job, job.rooms[:1]):
        pass
    before = memory_bytes(job.groups)
    async with _opened(job, job.rooms) as devices:
        await asyncio.sleep(job.seconds)
        after = memory_bytes(job.groups)
        ended = sum(device.has_ended for device in devices)
    return {
        "streams": len(devices),
        "memory_bytes": {name: after[name] - before[name] for name in after},
        "ended": ended,
    }


@asynccontextmanager
async def _opened(job: IdleJob, rooms: Sequence[Room]) -> AsyncIterator[list[_Device]]:
    """Open a device for each member of rooms, some at once, and close them in the end."""
    wanted = [one for room in rooms for one in _requests(room.tokens)]
    channels = [
        grpc.aio.insecure_channel(job.address, options=steady.OWN_CONNECTION)
        for _ in range(0, len(wanted), job.streams_per_connection)
    ]
    devices = [_Device() for _ in wanted]
    at_once = asyncio.Semaphore(_OPENED_AT_ONCE)
    tasks: list[asyncio.Task[None]] = []

    async def opened(number: int) -> None:
        token, request = wanted[number]
        stub: Any = sync_service_pb2_grpc.SyncServiceStub(channels[number // job.streams_per_connection])
        async with at_once, asyncio.timeout(_OPENING_SECONDS):
            call = stub.Subscribe(request, metadata=steady.bearer(token))
            tasks.append(asyncio.create_task(devices[number].read(call)))
            await devices[number].is_caught_up.wait()

    try:
        await asyncio.gather(*map(opened, range(len(wanted))))
        yield devices
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for channel in channels:
            await channel.close()


def _requests(tokens: list[str]) -> list[tuple[str, sync_service_pb2.SubscribeRequest]]:
    """Return a room's members, and what each asks for: those who come after them are watched."""
    user_ids = [jwt.decode(token, options={"verify_signature": False})["sub"] for token in tokens]
    in_a_circle = itertools.cycle(user_ids)
    watched = list(itertools.islice(in_a_circle, len(user_ids) + _WATCHED))
    return [
        (
            token,
            sync_service_pb2.SubscribeRequest(
                follow_memberships=True,
                include_cursors=True,
                include_read_states=True,
                user=user_part_pb2.UserPart(),
                presence=presence_part_pb2.PresencePart(
                    online=True, watch_user_ids=watched[number + 1 : number + 1 + _WATCHED]
                ),
            ),
        )
        for number, token in enumerate(tokens)
    ]
