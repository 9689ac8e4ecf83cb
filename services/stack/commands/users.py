"""`chatkit users`: who there is, who comes and who goes."""

import argparse
import asyncio
from typing import Any

from chatkit_client.types import MessageErasure
from services.stack.commands.connecting import connected
from services.stack.commands.listing import as_json, day, first_of, show_deletion, show_list
from services.stack.home import Home
from services.stack.terminal import printable

_ERASURES = {
    "erase": MessageErasure.MESSAGE_ERASURE_ERASE,
    "keep": MessageErasure.MESSAGE_ERASURE_KEEP_ANONYMOUS,
}


def show(home: Home, arguments: argparse.Namespace) -> int:
    """List users, or search them."""
    found = asyncio.run(_find(home, arguments))
    rows = [(user.id, user.name, day(user.create_time)) for user in found[0]]
    show_list(arguments, found, ("user", "name", "created"), rows)
    return 0


def add(home: Home, arguments: argparse.Namespace) -> int:
    """Create a user."""
    user = asyncio.run(_add(home, arguments)).user
    print(as_json(user) if arguments.json else f"{printable(user.id)} is a user now")
    return 0


def delete(home: Home, arguments: argparse.Namespace) -> int:
    """Delete a user."""
    deletion = asyncio.run(_delete(home, arguments)).deletion
    show_deletion(arguments, deletion, f"{printable(arguments.id)} is no user any more")
    return 0


async def _find(home: Home, arguments: argparse.Namespace) -> tuple[list[Any], bool]:
    async with connected(home, None) as client:
        if arguments.search:
            return await first_of(client.users.search_users, "users", arguments.most, prefix=arguments.search)
        return await first_of(client.users.list_users, "users", arguments.most)


async def _add(home: Home, arguments: argparse.Namespace) -> Any:
    async with connected(home, None) as client:
        return await client.users.create_user(id=arguments.id, name=arguments.name or arguments.id)


async def _delete(home: Home, arguments: argparse.Namespace) -> Any:
    async with connected(home, None) as client:
        return await client.users.delete_user(user_id=arguments.id, messages=_ERASURES[arguments.messages])
