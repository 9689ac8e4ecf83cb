"""A few users and rooms to which anything happens, and what the unary calls say of them.

CHATKIT_TEST_ROUNDS says how many rounds there are; a failure tells the seed, which CHATKIT_TEST_SEED repeats.
"""

import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
from chatkit.messages.v1 import messages_service_pb2 as messages_pb2
from chatkit.messages.v1 import read_states_service_pb2 as read_states_pb2
from chatkit.rooms.v1 import memberships_service_pb2 as memberships_pb2
from chatkit.rooms.v1 import rooms_service_pb2 as rooms_pb2
from chatkit.users.v1 import presence_service_pb2
from chatkit.users.v1 import users_service_pb2 as users_pb2

from tests.messages.chat import text
from tests.support.databases import TestDatabase
from tests.support.eventually import answered
from tests.support.nats import Nats
from tests.support.nats import running as running_nats
from tests.support.suite import Suite, running
from tests.support.tokens import su, user

SEED = int(os.environ.get("CHATKIT_TEST_SEED", str(random.randrange(2**32))))
USERS = ("alice", "bob", "carol")
ROOMS = ("lobby", "hall", "attic")
_AT_ONCE = 14


class World:
    """Makes random operations."""

    def __init__(self, suite: Suite, chance: random.Random) -> None:
        self._suite = suite
        self._chance = chance
        self._count = 0
        # The newest messages, at which everything is aimed.
        self._newest: dict[str, int] = {}

    def round(self) -> list[Awaitable[object]]:
        """Return the operations of a round, to be made at once."""
        makers: list[Callable[[], Any]] = [
            *[self._send] * 5,
            *(self._edit, self._delete, self._read),
            *(self._move, self._move, self._rename_room, self._rename_user),
        ]
        return [self._tried(self._chance.choice(makers)) for _ in range(_AT_ONCE)]

    async def _tried(self, make: Callable[[], Any]) -> None:
        """Do it; what is refused, as somebody has left meanwhile or the message is not there, changes nothing."""
        try:
            await answered(make)
        except grpc.aio.AioRpcError as error:
            if error.code() not in {grpc.StatusCode.NOT_FOUND, grpc.StatusCode.PERMISSION_DENIED}:
                raise

    def _next(self) -> str:
        self._count += 1
        return f"{self._count}"

    def _where(self) -> str:
        return self._chance.choice(ROOMS)

    async def _send(self) -> None:
        number, room_id, who = self._next(), self._where(), self._chance.choice(USERS)
        request = text(f"said {number}", number, room_id)
        answer = await self._suite.messages.SendMessage(request, metadata=user(who))
        self._newest[room_id] = max(self._newest.get(room_id, 0), answer.message.seq)

    def _edit(self) -> Any:
        parts, room_id = text(f"edited {self._next()}", "edit").parts, self._where()
        request = messages_pb2.EditMessageRequest(room_id=room_id, seq=self._seq(room_id), parts=parts)
        return self._suite.messages.EditMessage(request, metadata=su())

    def _delete(self) -> Any:
        room_id = self._where()
        request = messages_pb2.DeleteMessageRequest(room_id=room_id, seq=self._seq(room_id))
        return self._suite.messages.DeleteMessage(request, metadata=su())

    def _read(self) -> Any:
        room_id = self._where()
        request = read_states_pb2.SetReadCursorRequest(room_id=room_id, seq=self._seq(room_id), allow_backward=True)
        return self._suite.read_states.SetReadCursor(request, metadata=user(self._chance.choice(USERS)))

    def _seq(self, room_id: str) -> int:
        newest = self._newest.get(room_id, 0)
        return self._chance.randrange(max(1, newest - 12), newest + 2)

    def _move(self) -> Any:
        room_id, who = self._where(), self._chance.choice(USERS)
        if self._chance.random() < 0.6:
            joining = memberships_pb2.AddMembersRequest(room_id=room_id, user_ids=[who])
            return self._suite.memberships.AddMembers(joining, metadata=su())
        leaving = memberships_pb2.RemoveMembersRequest(room_id=room_id, user_ids=[who])
        return self._suite.memberships.RemoveMembers(leaving, metadata=su())

    def _rename_room(self) -> Any:
        request = rooms_pb2.UpdateRoomRequest(room_id=self._where(), name=f"name {self._next()}")
        return self._suite.rooms.UpdateRoom(request, metadata=su())

    def _rename_user(self) -> Any:
        request = users_pb2.UpdateUserRequest(user_id=self._chance.choice(USERS), name=f"name {self._next()}")
        return self._suite.users.UpdateUser(request, metadata=su())


def rounds(usual: int) -> range:
    """Count the rounds: as many as are usual, unless CHATKIT_TEST_ROUNDS says otherwise."""
    return range(int(os.environ.get("CHATKIT_TEST_ROUNDS", usual)))


async def messages_of(suite: Suite, who: str, room_id: str) -> dict[int, str]:
    """Return what ListMessages says of a room, from older to newer."""
    found: dict[int, str] = {}
    request = messages_pb2.ListMessagesRequest(room_id=room_id, page_size=100)
    while True:
        page = await suite.messages.ListMessages(request, metadata=user(who))
        found |= {message.seq: message.parts[0].content for message in page.messages}
        request.page_token = page.next_page_token
        if not page.next_page_token:
            return dict(sorted(found.items()))


async def read_states_of(suite: Suite, who: str) -> dict[str, tuple[int, int]]:
    """Return a user's cursor in each room, and how much is unread there."""
    request = read_states_pb2.ListReadStatesRequest(page_size=100)
    answer = await suite.read_states.ListReadStates(request, metadata=user(who))
    return {one.room_id: (one.cursor.seq, one.unread_count) for one in answer.read_states}


async def presence_of(suite: Suite, who: str, watched: Collection[str]) -> dict[str, int]:
    """Return how it stands with those whom a user watches."""
    if not watched:
        return {}
    request = presence_service_pb2.GetPresenceRequest(user_ids=sorted(watched))
    answer = await suite.presence.GetPresence(request, metadata=user(who))
    return {one.user_id: one.state for one in answer.presences}


@asynccontextmanager
async def two_replicas(database: TestDatabase, folder: Path) -> AsyncIterator[tuple[Suite, Nats, list[str]]]:
    """Run the services with two processes of messages, whose addresses it gives, and everybody in each room."""
    with running_nats(folder) as nats:
        async with running(database, folder, "users", "rooms", "messages", "files", nats=nats) as suite:
            await suite.make_users(*USERS)
            for room_id in ROOMS:
                await suite.make_room(room_id, *USERS)
            addresses = [suite.address("messages")]
            await suite.start("messages")
            yield suite, nats, [*addresses, suite.address("messages")]
