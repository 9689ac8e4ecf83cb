"""Sends at a steady rate, each timed from when it was due: what waits for the one before it has waited as well."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import grpc
from chatkit.messages.v1 import messages_service_pb2 as pb2
from chatkit.messages.v1 import messages_service_pb2_grpc as pb2_grpc
from chatkit.messages.v1 import part_pb2

from benchmarks.load.jobs import Room
from benchmarks.load.timing import Window

# A channel with these shares its connection with no other one.
OWN_CONNECTION = (("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1))
_SEND_SECONDS = 60.0


async def send(
    channel: Any, room: Room, per_second: float, window: Window, prefix: str, is_over: Callable[[float], bool]
) -> int:
    """Send until it is over, which is asked with the seconds that have gone; return how many were refused."""
    stub: Any = pb2_grpc.MessagesServiceStub(channel)
    part = part_pb2.Part(content_type="text/plain", content="x" * 64)
    refused = sent = 0

    async def one(due: float, request: pb2.SendMessageRequest) -> None:
        nonlocal refused
        try:
            await stub.SendMessage(request, metadata=bearer(room.tokens[0]), timeout=_SEND_SECONDS)
        except grpc.aio.AioRpcError:
            refused += 1
            return
        window.durations.append(time.monotonic() - due)
        window.counted += 1

    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        while not is_over(sent / per_second):
            due = began + sent / per_second
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            request = pb2.SendMessageRequest(room_id=room.id, request_id=f"{prefix}-{sent}", parts=[part])
            group.create_task(one(due, request))
            sent += 1
        await asyncio.sleep(max(0.0, began + sent / per_second - time.monotonic()))
    return refused


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    """Return the metadata of a call."""
    return (("authorization", f"Bearer {token}"),)
