"""Clients that write, follow and read rooms at random through the edge, and record all that they see.

They repeat what the contract says may be repeated, and resume their streams, as any client would.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from chatkit_client import ChatkitError, Client
from chatkit_client.types import (
    AddMembersRequest,
    CreateRoomRequest,
    CreateUserRequest,
    DeleteMessageRequest,
    EditMessageRequest,
    ListMessagesRequest,
    ListRoomEventsRequest,
    Message,
    Part,
    Position,
    RemoveMembersRequest,
    RoomEvent,
    SendMessageRequest,
    SubscribeRoomRequest,
)
from chatkit_client.types import Outcome as Opening
from services.stack.proof.history import Arrival, Entry, History, Kind, Outcome, Page, Removal, Stream, Write

# How long a write is repeated: longer than any restart that the suite is made to survive.
_PATIENCE_SECONDS = 60.0
_PAUSE_SECONDS = 0.05
_RESUMED = Opening.Value("OUTCOME_RESUMED")
_KINDS = {"message_created": Kind.SEND, "message_edited": Kind.EDIT, "message_deleted": Kind.DELETE}
# Of a hundred writes, so many of each kind; and after how many arrivals a reader comes anew.
_WEIGHTS = {Kind.SEND: 70, Kind.EDIT: 20, Kind.DELETE: 10}
_MOST_ARRIVALS = 60


@dataclass
class Person:
    """A user with a connection of their own, and what they know of rooms."""

    user_id: str
    client: Client
    # The messages that are theirs to edit and delete, by room.
    own: dict[str, list[int]] = field(default_factory=dict)
    places: dict[str, Position] = field(default_factory=dict)


class Recording:
    """A history that is being made; `seed` says what is done, though not how it is interleaved."""

    def __init__(self, people: Sequence[Person], admin: Client, name: str, rooms: int, seed: int) -> None:
        self.history = History()
        self._people = people
        self._admin = admin
        self._rooms = [f"{name}-{number}" for number in range(rooms)]
        self._chance = random.Random(seed)
        self._count = 0
        self._is_over = asyncio.Event()

    async def prepare(self) -> None:
        """Make the users and the rooms, all of whose members everybody is."""
        for person in self._people:
            await self._admin.call(CreateUserRequest(id=person.user_id, name=person.user_id), repeatable=True)
        ids = [person.user_id for person in self._people]
        for room_id in self._rooms:
            request = CreateRoomRequest(id=room_id, name=room_id, visibility="VISIBILITY_PRIVATE", creator_id=ids[0])
            await self._admin.call(request, repeatable=True)
            await self._admin.call(AddMembersRequest(room_id=room_id, user_ids=ids[1:]), repeatable=True)

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        """Write, follow, read and remove while the context is open; then read all logs."""
        async with asyncio.TaskGroup() as group:
            for person in self._people:
                group.create_task(self._again_and_again(self._write, person))
                group.create_task(self._again_and_again(self._page, person))
                for room_id in self._rooms:
                    group.create_task(self._follow(person, room_id))
            group.create_task(self._again_and_again(self._remove, self._people[-1]))
            try:
                yield
            finally:
                self._is_over.set()
        for room_id in self._rooms:
            self.history.logs[room_id] = await self._log(room_id)

    async def _again_and_again(self, act: Callable[[Person, str], Any], person: Person) -> None:
        while not self._is_over.is_set():
            await act(person, self._chance.choice(self._rooms))
            await asyncio.sleep(self._chance.random() * _PAUSE_SECONDS)

    async def _write(self, person: Person, room_id: str) -> None:
        own = person.own.setdefault(room_id, [])
        kind = self._chance.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0] if own else Kind.SEND
        self._count += 1
        content = "" if kind is Kind.DELETE else f"{kind} {self._count} of {person.user_id}"
        seq = 0 if kind is Kind.SEND else own.pop(self._chance.randrange(len(own)))
        began = _now()
        told = await self._told(person, _request(kind, room_id, seq, content, f"{self._count}"))
        outcome = Outcome.UNKNOWN if told is None else Outcome.ACKNOWLEDGED
        revision, message_seq = (told.revision, told.seq) if told is not None else (0, seq)
        write = Write(room_id, person.user_id, kind, content, began, _now(), outcome, revision, message_seq)
        self.history.writes.append(write)
        if told is not None and kind is not Kind.DELETE:
            own.append(message_seq)

    async def _told(self, person: Person, request: Any) -> Message | None:
        """Return the message as the answer shows it; None where nobody knows whether the write has happened."""
        with suppress(ChatkitError):
            message: Message = (await person.client.call(request, deadline=_PATIENCE_SECONDS, repeatable=True)).message
            return message
        return None

    async def _page(self, person: Person, room_id: str) -> None:
        began = _now()
        with suppress(ChatkitError):
            request = ListMessagesRequest(room_id=room_id, page_size=50)
            found = [_shown(one) for one in reversed((await person.client.call(request)).messages)]
            if found:
                first, last = found[0].message_seq, found[-1].message_seq
                self.history.pages.append(Page(room_id, person.user_id, began, _now(), first, last, found))

    async def _remove(self, person: Person, room_id: str) -> None:
        """Take somebody out of a room, and back in after a while."""
        ids = [person.user_id]
        await self._admin.call(RemoveMembersRequest(room_id=room_id, user_ids=ids), repeatable=True)
        ended = _now()
        await asyncio.sleep(0.2 + self._chance.random())
        until = _now()
        await self._admin.call(AddMembersRequest(room_id=room_id, user_ids=ids), repeatable=True)
        self.history.removals.append(Removal(room_id, person.user_id, ended, until))

    async def _follow(self, person: Person, room_id: str) -> None:
        """Follow a room on one stream after the other, until all is over and what was written has come."""
        while not self._is_over.is_set():
            with suppress(ChatkitError):
                await self._read(person, room_id)
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _read(self, person: Person, room_id: str) -> None:
        after = person.places.get(room_id)
        stream = _Reader(room_id, person.user_id, after)
        most = self._chance.randrange(_MOST_ARRIVALS)
        try:
            request = SubscribeRoomRequest(room_id=room_id, after=after)
            async with aclosing(person.client.stream(request)) as frames:
                async for frame in frames:
                    for event in frame.events:
                        stream.take(event)
                    if self._is_over.is_set() or len(stream.arrivals) > most:
                        return
        finally:
            if stream.position is not None:
                person.places[room_id] = stream.position
            if stream.is_caught_up:
                self.history.streams.append(stream.recorded())

    async def _log(self, room_id: str) -> list[Entry]:
        entries: list[Entry] = []
        token = ""
        while True:
            request = ListRoomEventsRequest(room_id=room_id, page_size=100, page_token=token)
            answer = await self._admin.call(request, deadline=_PATIENCE_SECONDS)
            entries += [entry for event in answer.events if (entry := entry_of(event)) is not None]
            token = answer.next_page_token
            if not token:
                return entries


class _Reader:
    """What one stream has brought."""

    def __init__(self, room_id: str, user_id: str, asked: Position | None) -> None:
        self._room_id, self._user_id = room_id, user_id
        self._asked = asked.seq if asked is not None else 0
        self._opened = _now()
        self._epoch = ""
        self._is_resumed = self.is_caught_up = False
        self._after = 0
        self._snapshot: list[Entry] = []
        self.arrivals: list[Arrival] = []
        self.position: Position | None = None

    def take(self, event: RoomEvent) -> None:
        """Take the next event."""
        match event.WhichOneof("event"):
            case "opened":
                self._epoch = event.opened.position.epoch
                self._is_resumed = event.opened.outcome == _RESUMED
                self._after = self._asked if self._is_resumed else 0
            case "caught_up":
                self.is_caught_up = True
                if not self._is_resumed:
                    self._after = event.caught_up.seq
                self._move(max(event.caught_up.seq, self._after))
            case _:
                self._take_entry(event)

    def recorded(self) -> Stream:
        """Return it as the history has it."""
        after, snapshot = self._after, tuple(self._snapshot)
        shared = (self._room_id, self._user_id, self._opened, self._is_resumed, after, self._asked)
        return Stream(*shared, snapshot=snapshot, arrivals=tuple(self.arrivals))

    def _take_entry(self, event: RoomEvent) -> None:
        entry = entry_of(event)
        if entry is None:
            return
        if self._is_resumed or self.is_caught_up:
            self.arrivals.append(Arrival(entry, _now()))
            self._move(entry.seq)
        else:
            self._snapshot.append(entry)

    def _move(self, seq: int) -> None:
        self.position = Position(epoch=self._epoch, seq=seq)


def entry_of(event: RoomEvent) -> Entry | None:
    """Return what an event says of the log; None where it says nothing of it."""
    name = event.WhichOneof("event")
    if name not in _KINDS:
        return None
    message: Message = getattr(event, name)
    return Entry(event.seq, _KINDS[name], message.seq, _content(message))


def _shown(message: Message) -> Entry:
    return Entry(message.seq, Kind.SEND, message.seq, _content(message), message.request_id)


def _content(message: Message) -> str:
    return message.parts[0].content if message.parts and not message.HasField("delete_time") else ""


def _request(kind: Kind, room_id: str, seq: int, content: str, request_id: str) -> Any:
    parts = [Part(content_type="text/plain", content=content)]
    match kind:
        case Kind.SEND:
            return SendMessageRequest(room_id=room_id, parts=parts, request_id=request_id)
        case Kind.EDIT:
            return EditMessageRequest(room_id=room_id, seq=seq, parts=parts, request_id=request_id)
        case Kind.DELETE:
            return DeleteMessageRequest(room_id=room_id, seq=seq)


def _now() -> float:
    return time.monotonic()
