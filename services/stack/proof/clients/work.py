"""What the clients of one run share: who they are, where they meet, what they have recorded, and what they do next."""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc

from chatkit_client import ChatkitError, Client
from chatkit_client.types import Message, Part, RoomEvent
from services.stack.proof.history import Entry, History, Kind

# How long a write is repeated: longer than any restart that the suite is made to survive.
PATIENCE_SECONDS = 60.0
# And how long what nothing goes on without.
_LONGEST_SECONDS = 180.0
_KINDS = {"message_created": Kind.SEND, "message_edited": Kind.EDIT, "message_deleted": Kind.DELETE}


def _set() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


@dataclass
class Person:
    """A user with a connection of their own."""

    user_id: str
    client: Client
    # The messages that are theirs to edit and delete, by room.
    own: dict[str, list[int]] = field(default_factory=dict)


@dataclass
class Work:
    """One run: its people, and a superuser; `name` begins the ids of all that is made for it."""

    people: Sequence[Person]
    admin: Client
    name: str
    rooms: Sequence[str]
    chance: random.Random
    history: History = field(default_factory=History)
    # Nobody begins anything new then.
    is_over: asyncio.Event = field(default_factory=asyncio.Event)
    # For how long what has not come by then is waited for: longer than a lease of presence, which takes longest.
    patience_seconds: float = 60.0
    # How often something was taken away by intent, so that what was under way may be about nothing.
    losses: int = 0
    # Cleared while the suite is disturbed; what was taken away is told by the end of that.
    calm: asyncio.Event = field(default_factory=_set)
    _count: int = 0

    def number(self) -> int:
        """Return a number that nothing else in the run has."""
        self._count += 1
        return self._count

    async def is_excused(self, losses: int) -> bool:
        """Tell whether what was begun after so many losses has failed because it was about what is no more."""
        await self.calm.wait()
        return self.losses != losses

    async def must(self, request: Any) -> Any:
        """Do what everything else needs, as a superuser."""
        return await self.admin.call(request, deadline=_LONGEST_SECONDS, repeatable=True)

    async def make(self, request: Any) -> None:
        """Make what may be there already, because the answer to the first attempt was lost."""
        try:
            await self.must(request)
        except ChatkitError as error:
            if error.code is not grpc.StatusCode.ALREADY_EXISTS:
                raise

    async def tried(self, client: Client, request: Any) -> Any:
        """Return the answer; None where nobody knows whether it has happened."""
        try:
            return await client.call(request, deadline=PATIENCE_SECONDS, repeatable=True)
        except ChatkitError:
            return None


def now() -> float:
    """Return the time of the record."""
    return time.monotonic()


def text(content: str) -> list[Part]:
    """Return the parts of a message that says this."""
    return [Part(content_type="text/plain", content=content)]


def content_of(message: Message) -> str:
    """Return what a message says."""
    return message.parts[0].content if message.parts and not message.HasField("delete_time") else ""


def entry_of(event: RoomEvent) -> Entry | None:
    """Return what an event says of the log; None where it says nothing of it."""
    name = event.WhichOneof("event")
    if name not in _KINDS:
        return None
    message: Message = getattr(event, name)
    return Entry(event.seq, _KINDS[name], message.seq, content_of(message))


def shown(message: Message) -> Entry:
    """Return a message as a page shows it."""
    return Entry(message.seq, Kind.SEND, message.seq, content_of(message), message.request_id)
