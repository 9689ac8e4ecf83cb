"""Sending one message, or many: those of one room are stored in the order in which they are given."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from chatkit_client.calling import new_id
from chatkit_client.calls import Calls
from chatkit_client.errors import ChatkitError
from chatkit_client.proto.messages.v1 import message_pb2, part_pb2
from chatkit_client.proto.messages.v1 import messages_service_pb2 as pb2

# What a message says: a text, or its parts.
Says = str | Iterable[part_pb2.Part]
# Rooms that are sent to at once, by calls.
_ROOMS_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one of many messages: it is there, or `error` says why it is not, or may not be."""

    request: pb2.SendMessageRequest
    message: message_pb2.Message | None = None
    error: ChatkitError | None = None


class Way(Protocol):
    """A way to send many messages."""

    def send(self, requests: Sequence[pb2.SendMessageRequest]) -> AsyncGenerator[Sent, None]:
        """Yield what became of each, those of one room in their order; what one ends with is no other's."""


def way(calls: Calls, _count: int) -> Way:
    """Choose how so many messages are sent."""
    # A stream for more than a few belongs here, beside the calls: a Way whose `send` writes to the stream.
    return ByCalls(calls)


def text(content: str) -> part_pb2.Part:
    """Return a part of a message that is plain text."""
    return part_pb2.Part(content_type="text/plain", content=content)


def request(
    room_id: str, says: Says, sender_id: str | None = None, request_id: str | None = None
) -> pb2.SendMessageRequest:
    """Return the request that sends a message; its id is new, unless it is given, and the same for all attempts."""
    parts = [text(says)] if isinstance(says, str) else says
    return pb2.SendMessageRequest(room_id=room_id, sender_id=sender_id, parts=parts, request_id=request_id or new_id())


class ByCalls:
    """Sends each message with a call, one after the other in a room, and several rooms at once."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def send(self, requests: Sequence[pb2.SendMessageRequest]) -> AsyncGenerator[Sent, None]:
        """Yield what became of each, as it becomes known."""
        of_rooms: dict[str, list[pb2.SendMessageRequest]] = {}
        for one in requests:
            of_rooms.setdefault(one.room_id, []).append(one)
        done: asyncio.Queue[Sent | Exception] = asyncio.Queue()
        places = asyncio.Semaphore(_ROOMS_AT_ONCE)
        tasks = [asyncio.create_task(self._send_to_room(room, places, done)) for room in of_rooms.values()]
        try:
            for _ in requests:
                sent = await done.get()
                if isinstance(sent, Exception):
                    raise sent
                yield sent
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _send_to_room(
        self,
        requests: Sequence[pb2.SendMessageRequest],
        places: asyncio.Semaphore,
        done: asyncio.Queue[Sent | Exception],
    ) -> None:
        async with places:
            for one in requests:
                try:
                    done.put_nowait(await self._send(one))
                except Exception as error:  # noqa: BLE001 - whoever waits for what becomes of the messages raises it
                    done.put_nowait(error)
                    return

    async def _send(self, one: pb2.SendMessageRequest) -> Sent:
        try:
            answer: pb2.SendMessageResponse = await self._calls.call(one)
        except ChatkitError as error:
            return Sent(one, error=error)
        return Sent(one, answer.message)


class Sender:
    """Sends messages of one user."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def send(self, one: pb2.SendMessageRequest) -> message_pb2.Message:
        """Send a message, and return it as it is stored; raises ChatkitError."""
        answer: pb2.SendMessageResponse = await self._calls.call(one)
        return answer.message

    async def send_many(self, requests: Iterable[pb2.SendMessageRequest]) -> AsyncGenerator[Sent, None]:
        """Yield what became of each; one without a request id gets a new one."""
        wanted = [_with_id(one) for one in requests]
        async with aclosing(way(self._calls, len(wanted)).send(wanted)) as outcomes:
            async for sent in outcomes:
                yield sent


def _with_id(one: pb2.SendMessageRequest) -> pb2.SendMessageRequest:
    if one.request_id:
        return one
    copy = pb2.SendMessageRequest(request_id=new_id())
    copy.MergeFrom(one)
    return copy
