"""Playing an export: users, rooms, memberships, then every message by its own sender, many rooms at once."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from chatkit.messages.v1 import messages_service_pb2, part_pb2
from chatkit.rooms.v1 import memberships_service_pb2, rooms_service_pb2
from chatkit.users.v1 import users_service_pb2
from google.protobuf import json_format, struct_pb2

from clients.python import ChatkitError, Client, Gap
from services.stack.replay.checker import Checker
from services.stack.replay.export import Export, Message, Part, Room, User

_AT_ONCE = 64
_USERS_PER_CALL = 10
_MEMBERS_PER_CALL = 10
# How long a call may be repeated: longer than any restart that the suite is made to survive.
_PATIENCE_SECONDS = 180.0
# How long nothing may arrive before what is missing counts as lost.
_STALL_SECONDS = 60.0

SignIn = Callable[[str | None], str]


@dataclass
class Result:
    """What a replay came to."""

    sent: int = 0
    already_there: int = 0
    delivered: int = 0
    lost: int = 0
    doubled: int = 0
    out_of_order: int = 0
    seconds: float = 0.0
    # Messages that the suite refused, by reason.
    skipped: Counter[str] = field(default_factory=Counter)
    # How often a call was turned away and waited, by reason.
    turned_away: Counter[str] = field(default_factory=Counter)

    @property
    def is_sound(self) -> bool:
        """Whether the promise was kept."""
        return not (self.lost or self.doubled or self.out_of_order)

    @property
    def rate(self) -> float:
        """Messages per second."""
        return (self.sent + self.already_there) / self.seconds if self.seconds else 0.0


class Player:
    """Plays one export against one edge."""

    def __init__(self, client: Client, sign_in: SignIn, on_progress: Callable[[int], None]) -> None:
        self._client = client
        self._sign_in = sign_in
        self._on_progress = on_progress
        self._clients: dict[str | None, Client] = {}
        self._result = Result()

    async def play(self, export: Export) -> Result:
        """Play it, wait until everything has arrived, and return what was counted."""
        await self._at_once(self._create_users(batch) for batch in _batches(export.users, _USERS_PER_CALL))
        await self._at_once(self._create_room(room) for room in export.rooms)
        began = time.monotonic()
        await self._at_once(self._play_room(room) for room in export.rooms)
        self._result.seconds = time.monotonic() - began
        self._result.turned_away = self._client.turned_away
        return self._result

    async def _at_once(self, works: Iterator[Any]) -> None:
        limit = asyncio.Semaphore(_AT_ONCE)

        async def limited(work: Any) -> None:
            async with limit:
                await work

        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(limited(work))

    async def _create_users(self, users: Sequence[User]) -> None:
        while users:
            request = users_service_pb2.BatchCreateUsersRequest(requests=[_user(user) for user in users])
            try:
                await self._call(None, self._client.users.BatchCreateUsers, request)
            except ChatkitError as error:
                if error.reason != "USER_ALREADY_EXISTS":
                    raise
                present = set(json.loads(error.metadata["user_ids"]))
                users = [user for user in users if user.id not in present]
            else:
                return

    async def _create_room(self, room: Room) -> None:
        request = rooms_service_pb2.CreateRoomRequest(
            id=room.id,
            creator_id=room.creator_id,
            name=room.name,
            visibility="VISIBILITY_PRIVATE" if room.is_private else "VISIBILITY_PUBLIC",
            custom_data=_struct(room.custom_data),
        )
        with _unless("ROOM_ALREADY_EXISTS"):
            # As a superuser, because who moves in may have made more rooms than a user makes in a day.
            await self._call(None, self._client.rooms.CreateRoom, request)
        senders = {message.sender_id for message in room.messages}
        members = sorted(senders.union(room.member_ids) - {room.creator_id})
        for batch in _batches(members, _MEMBERS_PER_CALL):
            added = memberships_service_pb2.AddMembersRequest(room_id=room.id, user_ids=batch)
            with _unless("QUOTA_EXCEEDED"):
                await self._call(None, self._client.memberships.AddMembers, added)

    async def _play_room(self, room: Room) -> None:
        checker = Checker()
        async with self._subscriber(room, checker):
            for message in room.messages:
                await self._send(room, message, checker)
                self._on_progress(1)
            await _arrival(checker)
        self._count(checker)

    async def _send(self, room: Room, message: Message, checker: Checker) -> None:
        request = messages_service_pb2.SendMessageRequest(
            room_id=room.id, parts=[_part(part) for part in message.parts], request_id=message.request_id
        )
        try:
            answer = await self._call(message.sender_id, self._client.messages.SendMessage, request)
        except ChatkitError as error:
            if error.is_passing or error.is_turned_away:
                raise
            self._result.skipped[error.reason] += 1
            return
        checker.acknowledge(answer.message.seq, _content(answer.message))

    @asynccontextmanager
    async def _subscriber(self, room: Room, checker: Checker) -> AsyncIterator[None]:
        """Follow the room from its head on while the context is open."""
        is_open = asyncio.Event()

        async def subscribe() -> None:
            async with self._of(room.creator_id).subscribe(room.id, 0) as events:
                async for event in events:
                    if isinstance(event, Gap):
                        continue
                    if event.HasField("opened") and not is_open.is_set():
                        checker.head_seq = event.opened.position.seq
                        is_open.set()
                    elif event.HasField("message_created"):
                        checker.arrive(event.seq, _content(event.message_created))
                    checker.faults = (events.repeated, events.holes)

        task = asyncio.create_task(subscribe())
        opening = asyncio.create_task(is_open.wait())
        try:
            await asyncio.wait((task, opening), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
            yield
        finally:
            for started in (opening, task):
                started.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def _count(self, checker: Checker) -> None:
        self._result = replace(
            self._result,
            sent=self._result.sent + len(checker.acknowledged),
            already_there=self._result.already_there + checker.already_there,
            delivered=self._result.delivered + checker.arrived,
            lost=self._result.lost + checker.lost,
            doubled=self._result.doubled + checker.doubled + checker.faults[0],
            out_of_order=self._result.out_of_order + checker.out_of_order + checker.faults[1],
        )

    async def _call(self, user_id: str | None, method: Callable[..., Any], request: Any) -> Any:
        # Each of these calls is harmless twice here: what exists already is taken for ours.
        return await self._of(user_id).call(method, request, deadline=_PATIENCE_SECONDS, repeatable=True)

    def _of(self, user_id: str | None) -> Client:
        """Return the client of a user, or the superuser's."""
        if user_id not in self._clients:
            self._clients[user_id] = self._client.with_token(self._sign_in(user_id))
        return self._clients[user_id]


async def _arrival(checker: Checker) -> None:
    """Return when everything has arrived, or when nothing has for long enough."""
    with suppress(TimeoutError):
        while not checker.is_complete:
            checker.progress.clear()
            async with asyncio.timeout(_STALL_SECONDS):
                await checker.progress.wait()


class _unless:  # noqa: N801 - it reads as a word of the language
    """Ignore a refusal for one reason."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        return isinstance(error, ChatkitError) and error.reason == self._reason


def _batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _user(user: User) -> users_service_pb2.CreateUserRequest:
    return users_service_pb2.CreateUserRequest(
        id=user.id, name=user.name, avatar_url=user.avatar_url, custom_data=_struct(user.custom_data)
    )


def _part(part: Part) -> part_pb2.Part:
    return part_pb2.Part(content_type=part.content_type, content=part.content, url=part.url)


def _struct(data: Mapping[str, Any] | None) -> struct_pb2.Struct | None:
    return json_format.ParseDict(dict(data), struct_pb2.Struct()) if data is not None else None


def _content(message: Any) -> bytes:
    content: bytes = message.SerializeToString(deterministic=True)
    return content
