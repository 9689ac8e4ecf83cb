"""How commands list things and show changes: a table for people, a JSON object per line for machines."""

import argparse
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from chatkit_client import pages
from chatkit_client.paging import Page
from chatkit_client.types import Deletion, DeletionState
from services.stack.terminal import columns, notice, printable


async def first_of(
    method: Callable[..., Awaitable[Page]], field: str, most: int, **asked: Any
) -> tuple[list[Any], bool]:
    """Return the first items of what a method lists, in as many pages as it takes, and whether there are more."""
    items: list[Any] = []
    are_more = False
    async with aclosing(pages(method, page_size=most, **asked)) as listed:
        async for page in listed:
            items += getattr(page, field)
            are_more = bool(page.next_page_token) or len(items) > most
            if len(items) >= most:
                break
    return items[:most], are_more


def show_list(
    arguments: argparse.Namespace, found: tuple[list[Any], bool], head: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    """Print a list that `first_of` has read, and on standard error whether there is more of it."""
    items, are_more = found
    if arguments.json:
        for item in items:
            print(as_json(item))
    else:
        print(columns(head, [[printable(cell) for cell in row] for row in rows]))
    tell_of_more(len(items), are_more=are_more)


def tell_of_more(count: int, *, are_more: bool) -> None:
    """Say on standard error that a list does not end where its printing did."""
    if are_more:
        notice(f"… these are the first {count:,}: --most lists more")


def show_deletion(arguments: argparse.Namespace, deletion: Deletion, gone: str) -> None:
    """Print how far a deletion is."""
    if arguments.json:
        print(as_json(deletion))
    elif deletion.state == DeletionState.DELETION_STATE_DONE:
        print(f"{gone}, and nothing of it is left")
    else:
        print(f"{gone}; what is left is being removed, as deletion {deletion.id}")


def as_json(message: Message) -> str:
    """Return a message as JSON on one line."""
    return json_format.MessageToJson(message, indent=None)


def day(time: Timestamp) -> str:
    """Return a moment as a table has it: in UTC, to the minute."""
    return time.ToDatetime().strftime("%Y-%m-%d %H:%M")
