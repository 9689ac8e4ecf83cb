"""Deletions are done, once and wholly, whatever is killed while they go on; what, and when, is drawn by a seed."""

import asyncio
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import grpc
import pytest
import pytest_asyncio
from chatkit.contract.v1 import deletion_pb2
from chatkit.files.v1.files_service_pb2_grpc import FilesServiceStub
from chatkit.messages.v1 import messages_service_pb2, part_pb2
from chatkit.rooms.v1 import rooms_service_pb2
from chatkit.users.v1 import users_service_pb2

from chatkit_client import ChatkitError, Client, connect
from services.stack import sign_in
from services.stack.roles import SERVICES
from tests.support.eventually import until
from tests.support.stack import RunningStack, running_stack
from tests.support.tokens import Metadata
from tests.support.uploads import add

_ROOMS, _MESSAGES, _FAULTS = 8, 100, 4
_WORD = "rhubarb"
_DONE = deletion_pb2.DELETION_STATE_DONE
_ERASE, _KEEP = deletion_pb2.MESSAGE_ERASURE_ERASE, deletion_pb2.MESSAGE_ERASURE_KEEP_ANONYMOUS
_VICTIMS = ("users", "rooms", "messages", "files", "postgres", "nats", "edge")
# How many looks at the deletion there are between one fault and the next, at most.
_LOOKS = 4
_PATIENCE_SECONDS = 180.0
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack() -> AsyncIterator[RunningStack]:
    """Run the suite."""
    async with running_stack() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def client(stack: RunningStack) -> AsyncIterator[Client]:
    """Be a superuser at the edge."""
    async with connect(stack.address, sign_in.token(stack.home, None, su=True)) as connected:
        yield connected


class _Story:
    """A user who has said much in rooms with somebody else, and what becomes of it."""

    def __init__(self, stack: RunningStack, client: Client, name: str) -> None:
        self.stack = stack
        self.user_id, self.other_id = f"{_WORD} {name}", f"other {name}"
        self.room_ids = [f"room {name} {number}" for number in range(_ROOMS)]
        self._client = client

    async def fill(self) -> None:
        """Make them and what they have."""
        for user_id in (self.user_id, self.other_id):
            await self.call(users_service_pb2.CreateUserRequest(id=user_id, name=user_id))
        for room_id in self.room_ids:
            made = rooms_service_pb2.CreateRoomRequest(
                id=room_id,
                name=room_id,
                creator_id=self.user_id,
                user_ids=[self.other_id],
                visibility="VISIBILITY_PRIVATE",
            )
            await self.call(made)
            for sender_id in (self.user_id, self.other_id):
                await self._say_much(room_id, sender_id)
        async with grpc.aio.insecure_channel(self.stack.address) as channel:
            await add(FilesServiceStub(channel), b"content", self._as_user(), room_id=self.room_ids[0])

    async def _say_much(self, room_id: str, sender_id: str) -> None:
        text = _WORD if sender_id == self.user_id else "hello"
        items = [
            messages_service_pb2.SendMessageRequest(
                room_id=room_id,
                sender_id=sender_id,
                request_id=f"{text} {number}",
                parts=[part_pb2.Part(content_type="text/plain", content=text)],
            )
            for number in range(_MESSAGES)
        ]
        batch = messages_service_pb2.BatchSendMessagesRequest(requests=items)
        answer = await self.call(batch)
        assert not any(result.HasField("failure") for result in answer.results)

    async def call(self, request: Any) -> Any:
        """Call for longer than anything is away."""
        return await self._client.call(request, deadline=_PATIENCE_SECONDS, repeatable=True)

    async def log(self, room_id: str) -> list[str]:
        """Return what has happened in a room, by kind."""
        kinds: list[str] = []
        token = ""
        while True:
            request = messages_service_pb2.ListRoomEventsRequest(room_id=room_id, page_size=100, page_token=token)
            page = await self.call(request)
            assert [event.seq for event in page.events] == list(
                range(len(kinds) + 1, len(kinds) + len(page.events) + 1)
            )
            kinds += [str(event.WhichOneof("event")) for event in page.events]
            token = page.next_page_token
            if not token:
                return kinds

    async def disturb(self, draw: random.Random, is_done: Callable[[], Awaitable[bool]]) -> None:
        """Kill processes, a while after one another."""
        for _ in range(_FAULTS):
            # It may be away from the last time.
            with suppress(ProcessLookupError, StopIteration, RuntimeError):
                self.stack.signal(draw.choice(_VICTIMS), signal.SIGKILL)
            for _ in range(draw.randrange(_LOOKS)):
                await is_done()

    def _as_user(self) -> Metadata:
        return sign_in.bearer(self.stack.home, self.user_id)


@pytest.mark.parametrize(("seed", "messages"), [(1, _ERASE), (2, _KEEP)])
async def test_a_user_is_deleted_once_and_wholly(
    stack: RunningStack, client: Client, seed: int, messages: deletion_pb2.MessageErasure
) -> None:
    story = _Story(stack, client, f"user {seed}")
    await story.fill()
    request = users_service_pb2.DeleteUserRequest(user_id=story.user_id, messages=messages)
    deleting = asyncio.create_task(story.call(request))

    async def is_done() -> bool:
        listed = await story.call(users_service_pb2.ListDeletionsRequest(page_size=1))
        return bool(listed.deletions) and listed.deletions[0].state == _DONE

    await story.disturb(random.Random(seed), is_done)
    deletion = (await deleting).deletion
    await until(is_done, _PATIENCE_SECONDS)
    get = users_service_pb2.GetDeletionRequest(deletion_id=deletion.id)
    assert (await story.call(get)).deletion.state == _DONE
    with pytest.raises(ChatkitError, match="USER_NOT_FOUND"):
        await story.call(users_service_pb2.GetUserRequest(user_id=story.user_id))
    changed = "message_deleted" if messages == _ERASE else "message_edited"
    for room_id in story.room_ids:
        assert Counter(await story.log(room_id)) == {"message_created": 2 * _MESSAGES, changed: _MESSAGES}
    for service in SERVICES:
        rows = str(stack.tables(service))
        assert story.user_id not in rows, service
        assert _WORD not in rows or (messages, service) == (_KEEP, "messages"), service


async def test_a_room_is_deleted_once_and_wholly(stack: RunningStack, client: Client) -> None:
    story = _Story(stack, client, "of rooms")
    await story.fill()
    gone, *kept = story.room_ids
    deleting = asyncio.create_task(story.call(rooms_service_pb2.DeleteRoomRequest(room_id=gone)))

    async def is_done() -> bool:
        listed = await story.call(rooms_service_pb2.ListDeletionsRequest(page_size=1))
        return bool(listed.deletions) and listed.deletions[0].state == _DONE

    await story.disturb(random.Random(3), is_done)
    assert (await deleting).deletion.id
    await until(is_done, _PATIENCE_SECONDS)
    with pytest.raises(ChatkitError, match="ROOM_NOT_FOUND"):
        await story.log(gone)
    assert await story.log(kept[0]) == ["message_created"] * (2 * _MESSAGES)
    for service in SERVICES:
        assert gone not in str(stack.tables(service)), service
