"""A stream of sends, as a test writes to it and reads from it."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import grpc
from chatkit.contract.v1 import error_reason_pb2
from chatkit.messages.v1 import message_pb2, part_pb2, send_result_pb2
from chatkit.messages.v1 import messages_service_pb2 as pb2

from tests.support.eventually import HANG_SECONDS
from tests.support.refusals import decode


class Sender:
    """An open stream."""

    def __init__(self, call: Any) -> None:
        self.call = call
        # What has come, by the messages' numbers, in the order in which it has.
        self.results: dict[int, send_result_pb2.SendResult] = {}
        self.closed: Any = None
        self.heartbeats = 0
        self.warnings = 0

    async def send(self, *requests: pb2.SendMessageRequest) -> None:
        """Send a frame of messages."""
        async with asyncio.timeout(HANG_SECONDS):
            await self.call.write(pb2.SendMessagesRequest(requests=requests))

    async def read(self) -> bool:
        """Read a frame; False at the end. Raises the error that the stream ends with."""
        async with asyncio.timeout(HANG_SECONDS):
            frame = await self.call.read()
        if frame is grpc.aio.EOF:
            return False
        for event in frame.events:
            match event.WhichOneof("event"):
                case "result":
                    assert event.number not in self.results
                    self.results[event.number] = event.result
                case "heartbeat":
                    self.heartbeats += 1
                case "token_expiring":
                    self.warnings += 1
                case "closed":
                    self.closed = event.closed
        return True

    async def opened(self) -> None:
        """Return when the stream has said something."""
        while not self.heartbeats:
            assert await self.read()

    async def result(self, number: int) -> send_result_pb2.SendResult:
        """Return what became of a message."""
        while number not in self.results:
            assert await self.read(), "the stream has ended"
        return self.results[number]

    async def told(self, count: int) -> list[str]:
        """Return what became of the first so many messages, in a word for each."""
        return [word(await self.result(number)) for number in range(1, count + 1)]

    async def messages(self, numbers: Iterable[int]) -> list[message_pb2.Message]:
        """Return messages as they were stored."""
        return [(await self.result(number)).message for number in numbers]

    async def drain(self) -> None:
        """Read to the end. Raises the error that the stream ends with."""
        while await self.read():
            pass

    async def finish(self) -> None:
        """Send nothing more, and read to the good end."""
        await self.call.done_writing()
        await self.drain()
        assert await self.call.code() is grpc.StatusCode.OK

    async def ending(self) -> tuple[str, str]:
        """Read to an end that the server has decided, and return its reason as `closed` says it, and as the status."""
        try:
            await self.drain()
        except grpc.aio.AioRpcError as error:
            return error_reason_pb2.ErrorReason.Name(self.closed.reason), decode(error).reason
        raise AssertionError("the stream ended well")


def word(result: send_result_pb2.SendResult) -> str:
    """Return OK, or the reason of a failure."""
    if result.HasField("message"):
        return "OK"
    return error_reason_pb2.ErrorReason.Name(result.failure.reason)


def numbered(number: int, room_id: str = "lobby", content: str = "") -> pb2.SendMessageRequest:
    """Return a message to send that is like no other number's."""
    part = part_pb2.Part(content_type="text/plain", content=content or f"{number}")
    return pb2.SendMessageRequest(room_id=room_id, parts=[part], request_id=f"{number}")


@asynccontextmanager
async def sending(stub: Any, metadata: Any) -> AsyncIterator[Sender]:
    """Open a stream while the context is open."""
    call = stub.SendMessages(metadata=metadata)
    try:
        yield Sender(call)
    finally:
        call.cancel()
