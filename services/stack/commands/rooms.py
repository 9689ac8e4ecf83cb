"""`chatkit rooms`: which rooms there are, or which are a user's and what is new in them."""

import argparse
import asyncio
from typing import Any

from chatkit_client.types import Room, RoomSummary, Visibility
from services.stack.commands.connecting import connected
from services.stack.commands.listing import as_json, day, first_of, show_deletion, show_list
from services.stack.home import Home
from services.stack.terminal import printable

# How much of a room's last message a table shows.
_MOST_SHOWN = 40


def show(home: Home, arguments: argparse.Namespace) -> int:
    """List all rooms, or a user's as they see them."""
    found = asyncio.run(_find(home, arguments))
    if arguments.user is None:
        head, rows = ("room", "name", "members", "who may join", "created"), [_room(one) for one in found[0]]
    else:
        head, rows = ("room", "name", "unread", "latest", "last message"), [_summary(one) for one in found[0]]
    show_list(arguments, found, head, rows)
    return 0


def add(home: Home, arguments: argparse.Namespace) -> int:
    """Create a room."""
    room = asyncio.run(_add(home, arguments)).room
    members = f"{room.member_count:,} member{'s' * (room.member_count != 1)}"
    print(as_json(room) if arguments.json else f"{printable(room.id)} is a room now, with {members}")
    return 0


def delete(home: Home, arguments: argparse.Namespace) -> int:
    """Delete a room."""
    deletion = asyncio.run(_delete(home, arguments)).deletion
    show_deletion(arguments, deletion, f"{printable(arguments.id)} is no room any more")
    return 0


def _room(one: Room) -> tuple[str, ...]:
    joining = "anyone" if one.visibility == Visibility.VISIBILITY_PUBLIC else "who is added"
    return one.id, one.name, f"{one.member_count:,}", joining, day(one.create_time)


def _summary(one: RoomSummary) -> tuple[str, ...]:
    state = one.read_state
    unread = f"{state.unread_count:,}{'+' * state.unread_capped}" if one.HasField("read_state") else ""
    latest = day(one.last_event_time) if one.HasField("last_event_time") else ""
    return one.room.id, one.room.name, unread, latest, _last_message(one)


def _last_message(one: RoomSummary) -> str:
    if not one.read_state.HasField("last_message"):
        return ""
    message = one.read_state.last_message
    said = " ".join(part.content or part.file.name or part.url for part in message.parts)
    text = f"{message.sender_id}: {' '.join(printable(said).split())}"
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 1]}…"


async def _find(home: Home, arguments: argparse.Namespace) -> tuple[list[Any], bool]:
    async with connected(home, arguments.user) as client:
        if arguments.user is None:
            return await first_of(client.rooms.list_rooms, "rooms", arguments.most, include_private=True)
        return await first_of(client.read_states.list_room_summaries, "summaries", arguments.most)


async def _add(home: Home, arguments: argparse.Namespace) -> Any:
    visibility = Visibility.VISIBILITY_PUBLIC if arguments.public else Visibility.VISIBILITY_PRIVATE
    async with connected(home, arguments.user) as client:
        return await client.rooms.create_room(
            id=arguments.id, name=arguments.name or arguments.id, visibility=visibility, user_ids=arguments.users
        )


async def _delete(home: Home, arguments: argparse.Namespace) -> Any:
    async with connected(home, None) as client:
        return await client.rooms.delete_room(room_id=arguments.id)
