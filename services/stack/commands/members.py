"""`chatkit members`: who is in a room, who is added and who is taken out."""

import argparse
import asyncio
import json

from chatkit_client.types import PresenceState
from services.stack.commands.connecting import connected
from services.stack.commands.listing import first_of, tell_of_more
from services.stack.home import Home
from services.stack.terminal import columns, printable

# So many users are asked about at once.
_AT_ONCE = 100
_STATES = {PresenceState.PRESENCE_STATE_ONLINE: "online", PresenceState.PRESENCE_STATE_OFFLINE: "offline"}
_Row = tuple[str, str, str]


def show(home: Home, arguments: argparse.Namespace) -> int:
    """List who is in a room, and whether they are there."""
    rows, are_more = asyncio.run(_find(home, arguments))
    head = ("user", "name", "presence")
    if arguments.json:
        for row in rows:
            print(json.dumps(dict(zip(head, row, strict=True)), ensure_ascii=False))
    else:
        print(columns(head, [[printable(cell) for cell in row] for row in rows]))
    tell_of_more(len(rows), are_more=are_more)
    return 0


def add(home: Home, arguments: argparse.Namespace) -> int:
    """Make users members."""
    asyncio.run(_add(home, arguments))
    return _tell(arguments, "in")


def remove(home: Home, arguments: argparse.Namespace) -> int:
    """Take users out."""
    asyncio.run(_remove(home, arguments))
    return _tell(arguments, "not in")


def _tell(arguments: argparse.Namespace, how: str) -> int:
    users = printable(", ".join(arguments.users))
    print(f"{users}: {how} {printable(arguments.room)} now")
    return 0


async def _find(home: Home, arguments: argparse.Namespace) -> tuple[list[_Row], bool]:
    rows: list[_Row] = []
    async with connected(home, None) as client:
        user_ids, are_more = await first_of(
            client.memberships.list_members, "user_ids", arguments.most, room_id=arguments.room
        )
        for start in range(0, len(user_ids), _AT_ONCE):
            some = user_ids[start : start + _AT_ONCE]
            users = (await client.users.batch_get_users(user_ids=some)).users
            presences = (await client.presence.get_presence(user_ids=some)).presences
            names = {user.id: user.name for user in users}
            states = {one.user_id: _STATES.get(one.state, "") for one in presences}
            rows += [(user_id, names.get(user_id, ""), states.get(user_id, "")) for user_id in some]
    return rows, are_more


async def _add(home: Home, arguments: argparse.Namespace) -> None:
    async with connected(home, None) as client:
        await client.memberships.add_members(room_id=arguments.room, user_ids=arguments.users)


async def _remove(home: Home, arguments: argparse.Namespace) -> None:
    async with connected(home, None) as client:
        await client.memberships.remove_members(room_id=arguments.room, user_ids=arguments.users)
