"""`chatkit send`, `watch` and `list`: a conversation without curl."""

import argparse
import asyncio
import sys
import time
import uuid
from typing import Any

from chatkit_client import ConnectionState, ConnectionStatus, Gap
from chatkit_client.messages import message_of
from chatkit_client.types import Message, Part, RoomEvent, SendMessageRequest
from services.stack.commands.connecting import connected
from services.stack.commands.listing import as_json, first_of
from services.stack.home import Home
from services.stack.spoken import part_text, reason_of
from services.stack.terminal import notice, printable, size
from services.stack.trouble import Trouble

# Far more than any message may have: the suite says how much that is.
_MOST_BYTES = 1_000_000
# Who is typing says so about once a second.
_TYPING_SECONDS = 3.0


def send(home: Home, arguments: argparse.Namespace) -> int:
    """Send a message and show it as it was stored."""
    content = _standard_input() if arguments.text == "-" else arguments.text
    request = SendMessageRequest(
        room_id=arguments.room,
        parts=[Part(content_type="text/plain", content=content)],
        request_id=arguments.request_id or uuid.uuid4().hex,
    )
    _show(asyncio.run(_send(home, arguments, request)).message, arguments)
    return 0


def history(home: Home, arguments: argparse.Namespace) -> int:
    """Show a room's last messages, the oldest first, and on standard error whether there are older ones."""
    messages, are_more = asyncio.run(_last(home, arguments))
    if are_more:
        oldest = messages[-1].seq
        notice(f"… and up to {oldest - 1:,} older: --before {oldest}")
    for message in reversed(messages):
        _show(message, arguments)
    return 0


def watch(home: Home, arguments: argparse.Namespace) -> int:
    """Show a room's messages until interrupted."""
    asyncio.run(_watch(home, arguments))
    return 0


def _standard_input() -> str:
    """Read a message: all of it, without the end of its last line."""
    if sys.stdin is not None and sys.stdin.isatty():
        notice("Type the message; Ctrl-D on a line of its own sends it.")
    read = sys.stdin.buffer.read(_MOST_BYTES + 1) if sys.stdin is not None else b""
    if len(read) > _MOST_BYTES:
        raise Trouble(f"standard input has more than {size(_MOST_BYTES)}, and no message is that long")
    try:
        text = read.decode().removesuffix("\n")
    except UnicodeDecodeError:
        raise Trouble("standard input is not text in UTF-8: nothing was sent") from None
    if not text:
        raise Trouble("standard input is empty: nothing was sent")
    return text


async def _send(home: Home, arguments: argparse.Namespace, request: SendMessageRequest) -> Any:
    async with connected(home, arguments.user) as client:
        return await client.call(request)


async def _last(home: Home, arguments: argparse.Namespace) -> tuple[list[Message], bool]:
    """Read the last messages, the newest first, and whether there are more."""
    asked = {"room_id": arguments.room, "from_seq": arguments.before}
    async with connected(home, arguments.user) as client:
        return await first_of(client.messages.list_messages, "messages", arguments.last, **asked)


async def _watch(home: Home, arguments: argparse.Namespace) -> None:
    async with connected(home, arguments.user) as client:
        events = client.subscribe(arguments.room, arguments.last)
        notices = Notices()
        events.connection.on_change(notices.connection)
        async for event in events:
            if isinstance(event, Gap):
                print(f"messages {event.after.seq + 1} to {event.before.seq - 1} can't be had: {event.reason}")
            else:
                notices.see(event)
                _show_event(event, arguments)


class Notices:
    """Tells on standard error what is no message: how it is with the connection, and who is typing."""

    def __init__(self) -> None:
        self._is_lost = False
        self._typing: dict[str, float] = {}

    def connection(self, state: ConnectionState) -> None:
        """Tell once that it is lost, however often it is tried again, and that it is back."""
        if state.status is ConnectionStatus.LOST and not self._is_lost:
            self._is_lost = True
            notice(f"the connection is lost ({reason_of(state) or 'ended'}); trying again until it is back")
        elif state.status is ConnectionStatus.LIVE and self._is_lost:
            self._is_lost = False
            notice("connected again")

    def see(self, event: RoomEvent) -> None:
        """Tell when somebody begins to type."""
        if event.HasField("typing"):
            self._see_typing(event.typing.user_id)
        elif event.HasField("message_created"):
            self._typing.pop(event.message_created.sender_id, None)

    def _see_typing(self, user_id: str) -> None:
        now = time.monotonic()
        if now - self._typing.get(user_id, -_TYPING_SECONDS) >= _TYPING_SECONDS:
            notice(f"{printable(user_id)} is typing …")
        self._typing[user_id] = now


def _show_event(event: RoomEvent, arguments: argparse.Namespace) -> None:
    message = message_of(event)
    if message is not None:
        _show(message, arguments)


def _show(message: Message, arguments: argparse.Namespace) -> None:
    if arguments.json:
        print(as_json(message), flush=True)
        return
    is_deleted = message.HasField("delete_time")
    when = (message.delete_time if is_deleted else message.create_time).ToDatetime().strftime("%H:%M:%S")
    text = printable(" ".join(map(part_text, message.parts)))
    mark = " (edited)" if message.HasField("edit_time") else ""
    line = "was deleted" if is_deleted else f"{printable(message.sender_id)}: {text}{mark}"
    print(f"{message.seq:>6}  {when}  {line}", flush=True)
