"""A room at two replicas: what is done to it, who reads it, and what all must agree on at last."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import psycopg
from hypothesis import strategies as st

from chatkit_client import Client, Gap, Messages
from chatkit_client.proto.messages.v1 import message_pb2, part_pb2, room_event_pb2
from chatkit_client.proto.messages.v1 import messages_service_pb2 as pb2
from tests.support.databases import TestDatabase

_CUT = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'chatkit committer'
"""
# Few contents, so that many edits change nothing.
_CONTENTS = st.sampled_from(["a", "b", "c"])
_REPLICA = st.integers(0, 1)
_TARGET = st.integers(0, 2)
steps = st.one_of(
    st.tuples(st.just("send"), _REPLICA, _CONTENTS),
    st.tuples(st.just("edit"), _REPLICA, _TARGET, _CONTENTS),
    st.tuples(st.just("edit"), _REPLICA, _TARGET, _CONTENTS),
    st.tuples(st.just("delete"), _REPLICA, _TARGET),
    st.tuples(st.just("repeat"), _REPLICA, st.integers(0, 9)),
    st.tuples(st.just("repeat"), _REPLICA, st.integers(0, 9)),
    st.tuples(st.just("cut_database")),
    st.tuples(st.just("cut_stream"), _REPLICA),
    st.tuples(st.just("read_page"), _REPLICA, st.booleans(), st.integers(0, 20)),
)

Step = tuple[Any, ...]
Shuffle = Callable[[list[room_event_pb2.RoomEvent]], None]
Sent = tuple[str, Any]


@dataclass
class Reader:
    """A client that follows a room at one replica, puts together what it gets, and is cut off now and then."""

    client: Client
    room_id: str
    messages: Messages = field(default_factory=Messages)
    seqs: list[int] = field(default_factory=list)
    # All that was got, from the stream and from pages.
    seen: list[room_event_pb2.RoomEvent] = field(default_factory=list)
    _task: asyncio.Task[None] | None = None
    _subscription: Any = None
    _moved: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self) -> None:
        """Follow the room, and return when the stream is open."""
        start = self._subscription.position if self._subscription is not None else 3
        self._subscription = self.client.subscribe(self.room_id, start)
        self._task = asyncio.create_task(self._follow(self._subscription))
        await self._until(lambda: self._subscription.streams > 0 and self._subscription.position is not None)

    async def cut(self) -> None:
        """Lose the stream, and come back with the own position."""
        await self.stop()
        await self.start()

    async def stop(self) -> None:
        """Stop following."""
        assert self._task is not None
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        assert (self._subscription.repeated, self._subscription.holes) == (0, 0)

    async def up_to(self, seq: int) -> None:
        """Return when everything up to a seq has come."""
        await self._until(lambda: self._subscription.position.seq >= seq)

    async def read_pages(self, *, newer: bool, from_seq: int) -> None:
        """Read messages from a seq to the end, and take them like everything else."""
        direction = pb2.DIRECTION_NEWER if newer else pb2.DIRECTION_OLDER
        request = pb2.ListMessagesRequest(room_id=self.room_id, direction=direction, from_seq=from_seq, page_size=3)
        async for message in pages(self.client, request):
            self.messages.put(message)
            self.seen.append(room_event_pb2.RoomEvent(message_created=message))

    async def _follow(self, subscription: Any) -> None:
        async for event in subscription:
            assert not isinstance(event, Gap)
            if event.seq:
                self.seqs.append(event.seq)
            self.messages.see(event)
            self.seen.append(event)
            self._moved.set()

    async def _until(self, holds: Callable[[], bool]) -> None:
        assert self._task is not None
        while not holds():
            self._moved.clear()
            moved = asyncio.create_task(self._moved.wait())
            await asyncio.wait({moved, self._task}, timeout=20, return_when=asyncio.FIRST_COMPLETED)
            moved.cancel()
            if self._task.done():
                self._task.result()


async def pages(client: Client, request: pb2.ListMessagesRequest) -> AsyncIterator[message_pb2.Message]:
    while True:
        page = await client.call(request)
        for message in page.messages:
            yield message
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


@dataclass
class Run:
    """One example: a room, its writers, and its readers."""

    database: TestDatabase
    clients: list[Client]
    room_id: str
    readers: list[Reader]
    # What was asked for, to be repeated, and the seq that each request id of a send got.
    asked: list[Sent] = field(default_factory=list)
    seqs: dict[str, int] = field(default_factory=dict)

    async def do(self, step: Step) -> None:
        """Do one step, which is named like its method; it is done for good when this returns."""
        await getattr(self, step[0])(*step[1:])

    async def send(self, replica: int, content: str) -> None:
        """Send a message."""
        request = pb2.SendMessageRequest(
            room_id=self.room_id, parts=[_part(content)], request_id=f"send {len(self.asked)}"
        )
        await self._ask(replica, "SendMessage", request)

    async def edit(self, replica: int, target: int, content: str) -> None:
        """Edit a message, if there is one."""
        if (seq := self._target(target)) is not None:
            request = pb2.EditMessageRequest(
                room_id=self.room_id, seq=seq, parts=[_part(content)], request_id=f"edit {len(self.asked)}"
            )
            await self._ask(replica, "EditMessage", request)

    async def delete(self, replica: int, target: int) -> None:
        """Delete a message, if there is one."""
        if (seq := self._target(target)) is not None:
            await self._ask(replica, "DeleteMessage", pb2.DeleteMessageRequest(room_id=self.room_id, seq=seq))

    async def repeat(self, replica: int, number: int) -> None:
        """Do once more what was done before, wherever that was."""
        if self.asked:
            await self._again(replica, *self.asked[number % len(self.asked)])

    async def cut_database(self) -> None:
        """Roll back what is under way, or let nobody know whether it is."""
        await asyncio.to_thread(self._cut)

    async def cut_stream(self, replica: int) -> None:
        """Cut a reader off."""
        await self.readers[replica].cut()

    async def read_page(self, replica: int, newer: bool, from_seq: int) -> None:
        """Let a reader read pages meanwhile."""
        await self.readers[replica].read_pages(newer=newer, from_seq=from_seq)

    def _target(self, number: int) -> int | None:
        seqs = list(self.seqs.values())
        return seqs[number % len(seqs)] if seqs else None

    async def _ask(self, replica: int, method: str, request: Any) -> None:
        self.asked.append((method, request))
        await self._again(replica, method, request)

    async def _again(self, replica: int, method: str, request: Any) -> None:
        client = self.clients[replica]
        with suppress_not_found():
            message = (await client.call(request)).message
            if method == "SendMessage":
                # A repetition is the same message.
                assert self.seqs.setdefault(request.request_id, message.seq) == message.seq

    def _cut(self) -> None:
        with psycopg.connect(self.database.superuser_dsn, autocommit=True) as connection:
            connection.execute(_CUT)

    async def check(self, shuffle: Shuffle) -> None:
        """Compare all that was read and all that can be read."""
        log = await self._log()
        assert [event.seq for event in log] == list(range(1, len(log) + 1))
        kinds = [event.WhichOneof("event") for event in log]
        assert kinds.count("message_created") == len(self.seqs) == len(set(self.seqs.values()))
        assert kinds.count("message_edited") <= len({request.request_id for _, request in self._of("EditMessage")})
        assert kinds.count("message_deleted") <= len({request.seq for _, request in self._of("DeleteMessage")})
        listed = [
            message
            async for message in pages(
                self.clients[0], pb2.ListMessagesRequest(room_id=self.room_id, direction=pb2.DIRECTION_NEWER)
            )
        ]
        older = [message async for message in pages(self.clients[1], pb2.ListMessagesRequest(room_id=self.room_id))]
        assert older[::-1] == listed
        assert folded(log) == listed
        for reader in self.readers:
            await reader.up_to(len(log))
            assert reader.seqs == sorted(set(reader.seqs))
            assert list(reader.messages) == listed
            shuffle(reader.seen)
            assert folded(reader.seen) == listed

    def _of(self, method: str) -> list[Sent]:
        return [sent for sent in self.asked if sent[0] == method]

    async def _log(self) -> list[room_event_pb2.RoomEvent]:
        request = pb2.ListRoomEventsRequest(room_id=self.room_id, page_size=100)
        events: list[room_event_pb2.RoomEvent] = []
        while True:
            page = await self.clients[0].call(request)
            events.extend(page.events)
            if not page.next_page_token:
                return events
            request.page_token = page.next_page_token


class suppress_not_found:  # noqa: N801 - it reads as a word of the language
    """Go on where a message was deleted before it could be edited."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        return getattr(error, "reason", "") == "MESSAGE_NOT_FOUND"


def _part(content: str) -> part_pb2.Part:
    return part_pb2.Part(content_type="text/plain", content=content)


def folded(events: list[room_event_pb2.RoomEvent]) -> list[message_pb2.Message]:
    messages = Messages()
    for event in events:
        messages.see(event)
    return list(messages)


async def at_once(burst: list[Step], run: Run) -> None:
    """Do the steps of a burst at once."""
    # One reader is cut off once at a time.
    cuts = {step for step in burst if step[0] == "cut_stream"}
    works: list[Awaitable[None]] = [run.do(step) for step in burst if step[0] != "cut_stream"]
    await asyncio.gather(*works, *(run.do(step) for step in cuts))
