"""Sends on streams while messages is killed: what has no result is sent again on the next stream, and stored once."""

import asyncio
import signal
from collections.abc import Sequence
from contextlib import suppress

import grpc
from chatkit.messages.v1 import message_pb2, part_pb2
from chatkit.messages.v1 import messages_service_pb2 as pb2
from chatkit.messages.v1.messages_service_pb2_grpc import MessagesServiceStub

from chatkit_client import Client, connect, types
from services.stack import sign_in
from tests.support.eventually import eventually
from tests.support.sending import Sender, sending
from tests.support.stack import RunningStack, running_stack
from tests.support.tokens import bearer

_ROOMS, _MESSAGES, _IN_FRAME, _KILLS = 3, 1_000, 7, 2


class _Device:
    """Sends messages on one stream after the other, until each has been answered with what was stored."""

    def __init__(self, address: str, token: str) -> None:
        self._address = address
        self._token = token
        # By their request ids, which are the same on every stream.
        self.stored: dict[str, message_pb2.Message] = {}
        self.streams = 0

    async def send(self, requests: Sequence[pb2.SendMessageRequest]) -> None:
        """Send them, each as often as it takes."""
        while left := [one for one in requests if one.request_id not in self.stored]:
            self.streams += 1
            async with grpc.aio.insecure_channel(self._address) as channel:
                with suppress(grpc.aio.AioRpcError):
                    await self._send_on_a_stream(channel, left)

    async def _send_on_a_stream(self, channel: grpc.aio.Channel, left: Sequence[pb2.SendMessageRequest]) -> None:
        async with sending(MessagesServiceStub(channel), bearer(self._token)) as sender:
            await sender.opened()
            writing = asyncio.create_task(_write(sender, left))
            try:
                while await sender.read():
                    for number, result in sender.results.items():
                        if result.HasField("message"):
                            self.stored[left[number - 1].request_id] = result.message
            finally:
                writing.cancel()
                await asyncio.gather(writing, return_exceptions=True)


async def _write(sender: Sender, requests: Sequence[pb2.SendMessageRequest]) -> None:
    for start in range(0, len(requests), _IN_FRAME):
        await sender.send(*requests[start : start + _IN_FRAME])
    await sender.call.done_writing()


def _room(number: int) -> str:
    return f"room {number % _ROOMS}"


def _requests() -> list[pb2.SendMessageRequest]:
    return [
        pb2.SendMessageRequest(
            room_id=_room(number),
            sender_id="sam",
            parts=[part_pb2.Part(content_type="text/plain", content=f"{number}")],
            request_id=f"request {number}",
        )
        for number in range(_MESSAGES)
    ]


async def _history(client: Client, room_id: str) -> list[types.Message]:
    messages: list[types.Message] = []
    while True:
        page = await client.messages.list_messages(
            room_id=room_id,
            direction="DIRECTION_NEWER",
            from_seq=messages[-1].seq if messages else None,
            page_size=100,
        )
        if not page.messages:
            return messages
        messages += page.messages


async def test_what_is_sent_again_on_another_stream_is_neither_lost_nor_doubled_nor_in_another_order() -> None:
    async with running_stack() as stack, asyncio.timeout(240):
        token = sign_in.token(stack.home, None, su=True)
        async with connect(stack.address, token) as client:
            await client.users.create_user(id="sam", name="Sam")
            for number in range(_ROOMS):
                await client.rooms.create_room(
                    id=_room(number), name="Room", visibility="VISIBILITY_PRIVATE", creator_id="sam"
                )
            device, requests = _Device(stack.address, token), _requests()
            async with asyncio.TaskGroup() as group:
                group.create_task(device.send(requests))
                group.create_task(_kill(stack, device))
            for number in range(_ROOMS):
                history = await _history(client, _room(number))
                sent = [one for one in requests if one.room_id == _room(number)]
                assert [one.parts[0].content for one in history] == [one.parts[0].content for one in sent]
                assert [device.stored[one.request_id].seq for one in sent] == [one.seq for one in history]
    assert device.streams > _KILLS


async def _kill(stack: RunningStack, device: _Device) -> None:
    for count in range(1, _KILLS + 1):
        due = count * _MESSAGES // (_KILLS + 2)
        await eventually(lambda: len(device.stored) >= due)  # noqa: B023 - awaited here
        stack.signal("messages", signal.SIGKILL)
