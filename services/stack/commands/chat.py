"""`chatkit send`, `watch` and `list`: a conversation without curl."""

import argparse
import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

from google.protobuf import json_format

from chatkit_client import ChatkitError, Client, Gap, connect
from chatkit_client.messages import message_of
from chatkit_client.types import ListMessagesRequest, Message, Part, RoomEvent, SendMessageRequest
from services.stack.home import Home
from services.stack.sign_in import token
from services.stack.terminal import printable
from services.stack.trouble import Trouble

_OPTIONS = (("grpc.enable_http_proxy", 0),)


def send(home: Home, arguments: argparse.Namespace) -> int:
    """Send a message and show it as it was stored."""
    request = SendMessageRequest(
        room_id=arguments.room,
        parts=[Part(content_type="text/plain", content=arguments.text)],
        request_id=arguments.request_id or uuid.uuid4().hex,
    )
    _show(asyncio.run(_send(home, arguments, request)).message, arguments)
    return 0


def history(home: Home, arguments: argparse.Namespace) -> int:
    """Show a room's last messages, the oldest first."""
    for message in reversed(asyncio.run(_last(home, arguments))):
        _show(message, arguments)
    return 0


def watch(home: Home, arguments: argparse.Namespace) -> int:
    """Show a room's messages until interrupted."""
    asyncio.run(_watch(home, arguments))
    return 0


async def _send(home: Home, arguments: argparse.Namespace, request: SendMessageRequest) -> Any:
    async with _client(home, arguments) as client:
        return await client.call(request)


async def _last(home: Home, arguments: argparse.Namespace) -> list[Message]:
    """Read the last messages, the newest first, in as many pages as it takes."""
    request = ListMessagesRequest(room_id=arguments.room, page_size=arguments.last)
    messages: list[Message] = []
    async with _client(home, arguments) as client:
        while True:
            page = await client.call(request)
            messages += page.messages
            if len(messages) >= arguments.last or not page.next_page_token:
                return messages[: arguments.last]
            request.page_token = page.next_page_token


async def _watch(home: Home, arguments: argparse.Namespace) -> None:
    async with _client(home, arguments) as client:
        async for event in client.subscribe(arguments.room, arguments.last):
            if isinstance(event, Gap):
                print(f"messages {event.after.seq + 1} to {event.before.seq - 1} can't be had: {event.reason}")
            else:
                _show_event(event, arguments)


@asynccontextmanager
async def _client(home: Home, arguments: argparse.Namespace) -> AsyncIterator[Client]:
    """Connect as the user who is named; what the suite refuses is said in a sentence."""

    def sign_in() -> Awaitable[str]:
        return asyncio.sleep(0, token(home, arguments.user))

    try:
        async with connect(home.running_address(), sign_in, options=_OPTIONS) as client:
            yield client
    except ChatkitError as error:
        raise Trouble(str(error)) from None


def _show_event(event: RoomEvent, arguments: argparse.Namespace) -> None:
    message = message_of(event)
    if message is not None:
        _show(message, arguments)


def _show(message: Message, arguments: argparse.Namespace) -> None:
    if arguments.json:
        print(json_format.MessageToJson(message, indent=None), flush=True)
        return
    is_deleted = message.HasField("delete_time")
    time = (message.delete_time if is_deleted else message.create_time).ToDatetime().strftime("%H:%M:%S")
    text = printable(" ".join(part.content or part.url for part in message.parts))
    mark = " (edited)" if message.HasField("edit_time") else ""
    line = "was deleted" if is_deleted else f"{printable(message.sender_id)}: {text}{mark}"
    print(f"{message.seq:>6}  {time}  {line}", flush=True)
