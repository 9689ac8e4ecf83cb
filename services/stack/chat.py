"""`chatkit send`, `watch` and `list`: a conversation without curl."""

import argparse
import asyncio
import uuid
from typing import Any

import grpc
from chatkit.messages.v1 import message_pb2, part_pb2
from chatkit.messages.v1 import messages_service_pb2 as pb2
from chatkit.messages.v1.messages_service_pb2_grpc import MessagesServiceStub
from google.protobuf import json_format
from google.protobuf.message import Message

from services.runtime.errors import from_rpc_error
from services.stack.home import Home
from services.stack.sign_in import bearer
from services.stack.trouble import Trouble

_SECONDS = 15.0


def send(home: Home, arguments: argparse.Namespace) -> int:
    """Send a message and show it as it was stored."""
    request = pb2.SendMessageRequest(
        room_id=arguments.room,
        parts=[part_pb2.Part(content_type="text/plain", content=arguments.text)],
        request_id=arguments.request_id or uuid.uuid4().hex,
    )
    _show(asyncio.run(_call(home, arguments, "SendMessage", request)).message, arguments)
    return 0


def history(home: Home, arguments: argparse.Namespace) -> int:
    """Show a room's last messages, the oldest first."""
    request = pb2.ListMessagesRequest(room_id=arguments.room, page_size=arguments.last)
    messages = asyncio.run(_call(home, arguments, "ListMessages", request)).messages
    for message in sorted(messages, key=lambda message: message.seq):
        _show(message, arguments)
    return 0


def watch(home: Home, arguments: argparse.Namespace) -> int:
    """Show a room's messages until interrupted."""
    asyncio.run(_watch(home, arguments))
    return 0


async def _watch(home: Home, arguments: argparse.Namespace) -> None:
    address = home.running_address()
    request = pb2.SubscribeRoomRequest(room_id=arguments.room, last=arguments.last)
    async with grpc.aio.insecure_channel(address) as channel:
        try:
            stream = MessagesServiceStub(channel).SubscribeRoom(request, metadata=bearer(home, arguments.user))
            async for frame in stream:
                for event in frame.events:
                    if event.HasField("message_created"):
                        _show(event.message_created, arguments)
        except grpc.aio.AioRpcError as error:
            known = from_rpc_error(error, "the edge")
            raise Trouble(f"{known.reason}: {known.message}") from None


async def _call(home: Home, arguments: argparse.Namespace, method: str, request: Message) -> Any:
    address = home.running_address()
    async with grpc.aio.insecure_channel(address) as channel:
        try:
            call = getattr(MessagesServiceStub(channel), method)
            return await call(request, metadata=bearer(home, arguments.user), timeout=_SECONDS)
        except grpc.aio.AioRpcError as error:
            known = from_rpc_error(error, "the edge")
            raise Trouble(f"{known.reason}: {known.message}") from None


def _show(message: message_pb2.Message, arguments: argparse.Namespace) -> None:
    if arguments.json:
        print(json_format.MessageToJson(message, indent=None), flush=True)
        return
    time = message.create_time.ToDatetime().strftime("%H:%M:%S")
    text = " ".join(part.content or part.url for part in message.parts)
    print(f"{message.seq:>6}  {time}  {message.sender_id}: {_printable(text)}", flush=True)


def _printable(text: str) -> str:
    """Keep other people's control characters from the terminal."""
    return "".join(char if char.isprintable() else " " for char in text)
