"""Playing an export: users, rooms, memberships, then every message by its own sender, many rooms at once."""

import asyncio
import json
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from chatkit.messages.v1 import message_pb2, messages_service_pb2, part_pb2
from chatkit.rooms.v1 import memberships_service_pb2, rooms_service_pb2
from chatkit.users.v1 import users_service_pb2
from google.protobuf.message import Message as ProtoMessage

from chatkit_client import ChatkitError, Client, Gap
from services.stack.exports.records import Refused
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
    # Messages that the suite refused, by reason, and those that are DELETED in the export.
    skipped: Counter[str] = field(default_factory=Counter)
    # Records that were not taken, by the reader or by the suite, and what depends on them.
    refused: list[Refused] = field(default_factory=list)
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


class ReplayStopped(Exception):
    """The suite could not be called, for longer than any of its restarts takes; the text says at which record."""


class Player:
    """Plays one export against one edge."""

    def __init__(self, client: Client, sign_in: SignIn, on_progress: Callable[[int], None]) -> None:
        self._client = client
        self._sign_in = sign_in
        self._on_progress = on_progress
        self._clients: dict[str | None, Client] = {}
        self._result = Result()
        # Users who are not there because their records were refused.
        self._refused_user_ids: set[str] = set()

    async def play(self, export: Export) -> Result:
        """Play it, wait until everything has arrived, and return what was counted; raises ReplayStopped."""
        self._result.refused.extend(export.refused)
        if export.deleted:
            self._result.skipped["DELETED"] = export.deleted
        self._refused_user_ids.update(export.refused_user_ids)
        await self._at_once(self._create_users(batch) for batch in _batches(export.users, _USERS_PER_CALL))
        created: list[Room] = []
        await self._at_once(self._create_room(room, created) for room in export.rooms)
        began = time.monotonic()
        await self._at_once(self._play_room(room) for room in created)
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
            refusal = await self._refusal(users[0].where, request)
            if refusal is None:
                return
            present = _user_ids(refusal) if refusal.reason == "USER_ALREADY_EXISTS" else set()
            absent = [user for user in users if user.id not in present]
            if len(absent) == len(users):
                await self._create_users_one_by_one(users, refusal)
                return
            users = absent

    async def _create_users_one_by_one(self, users: Sequence[User], refusal: ChatkitError) -> None:
        """Find out whom of a batch the suite refuses."""
        if len(users) > 1:
            for user in users:
                await self._create_users([user])
            return
        self._refused_user_ids.add(users[0].id)
        self._refuse(users[0].where, refusal)

    async def _create_room(self, room: Room, created: list[Room]) -> None:
        """Create a room with its members, and add it to those that are there now."""
        if room.creator_id in self._refused_user_ids:
            self._refuse_room(room, "the record of its creator was refused")
            return
        request = rooms_service_pb2.CreateRoomRequest(
            id=room.id,
            creator_id=room.creator_id,
            name=room.name,
            visibility="VISIBILITY_PRIVATE" if room.is_private else "VISIBILITY_PUBLIC",
            custom_data=room.custom_data,
        )
        # As a superuser, because who moves in may have made more rooms than a user makes in a day.
        refusal = await self._refusal(room.where, request)
        if refusal is not None and refusal.reason != "ROOM_ALREADY_EXISTS":
            self._refuse_room(room, refusal)
            return
        senders = {message.sender_id for message in room.messages}
        members = senders.union(room.member_ids) - {room.creator_id}
        for user_id in sorted(members & self._refused_user_ids):
            self._refuse(room.where, f"without the member {user_id!r}, whose record was refused")
        for batch in _batches(sorted(members - self._refused_user_ids), _MEMBERS_PER_CALL):
            await self._add_members(room, batch)
        created.append(room)

    async def _add_members(self, room: Room, user_ids: Sequence[str]) -> None:
        request = memberships_service_pb2.AddMembersRequest(room_id=room.id, user_ids=user_ids)
        refusal = await self._refusal(room.where, request)
        if refusal is None:
            return
        # A room that is full has no place for another ten either, and takes those for whom it has.
        if len(user_ids) > 1:
            for user_id in user_ids:
                await self._add_members(room, [user_id])
            return
        self._refuse(room.where, f"without the member {user_ids[0]!r}: {refusal}")

    async def _play_room(self, room: Room) -> None:
        checker = Checker()
        waiting = deque(room.messages)
        try:
            async with self._subscriber(room, checker):
                while waiting:
                    await self._send(room, waiting[0], checker)
                    waiting.popleft()
                    self._on_progress(1)
                await checker.arrival(_STALL_SECONDS)
        except ChatkitError as error:
            # Of the subscriber, who is the room's creator, and may have left it since.
            _stop_if_away(room.where, error)
            self._refuse(room.where, f"can't be followed: {error}")
            self._refuse_messages(waiting)
        self._count(checker)

    async def _send(self, room: Room, message: Message, checker: Checker) -> None:
        if message.sender_id in self._refused_user_ids:
            self._refuse(message.where, "the record of its sender was refused")
            return
        request = messages_service_pb2.SendMessageRequest(
            room_id=room.id,
            parts=[_part(part) for part in message.parts],
            request_id=message.request_id,
            custom_data=message.custom_data,
        )
        try:
            answer = await self._call(message.sender_id, request)
        except ChatkitError as error:
            _stop_if_away(message.where, error)
            self._result.skipped[error.reason] += 1
            self._refuse(message.where, error)
            return
        checker.acknowledge(answer.message.seq, _content(answer.message))

    def _refuse_room(self, room: Room, why: object) -> None:
        self._refuse(room.where, why)
        self._refuse_messages(room.messages)

    def _refuse_messages(self, messages: Collection[Message]) -> None:
        for message in messages:
            self._refuse(message.where, "its room was refused")
        self._on_progress(len(messages))

    def _refuse(self, where: str, why: object) -> None:
        self._result.refused.append(Refused(where, str(why)))

    async def _refusal(self, where: str, request: ProtoMessage) -> ChatkitError | None:
        """Call as the superuser, and return why it was refused, if it was; raises ReplayStopped."""
        try:
            await self._call(None, request)
        except ChatkitError as error:
            _stop_if_away(where, error)
            return error
        return None

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

    async def _call(self, user_id: str | None, request: ProtoMessage) -> Any:
        # Each of these calls is harmless twice here: what exists already is taken for ours.
        return await self._of(user_id).call(request, deadline=_PATIENCE_SECONDS, repeatable=True)

    def _of(self, user_id: str | None) -> Client:
        """Return the client of a user, or the superuser's."""
        if user_id not in self._clients:
            self._clients[user_id] = self._client.with_token(self._sign_in(user_id))
        return self._clients[user_id]


def _stop_if_away(where: str, error: ChatkitError) -> None:
    """Raise ReplayStopped if the call was not answered at all, or only turned away, however often it was repeated."""
    if error.is_passing or error.is_turned_away:
        raise ReplayStopped(f"{where}: {error}") from error


def _user_ids(error: ChatkitError) -> set[str]:
    return set(json.loads(error.metadata["user_ids"]))


def _batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _user(user: User) -> users_service_pb2.CreateUserRequest:
    return users_service_pb2.CreateUserRequest(
        id=user.id, name=user.name, avatar_url=user.avatar_url, custom_data=user.custom_data
    )


def _part(part: Part) -> part_pb2.Part:
    return part_pb2.Part(content_type=part.content_type, content=part.content, url=part.url)


def _content(message: Any) -> bytes:
    # The client's classes are others than the suite's.
    shown = message_pb2.Message.FromString(message.SerializeToString())
    # Replicas of the release before do not show it.
    shown.ClearField("request_id")
    return shown.SerializeToString(deterministic=True)
