"""The traffic of an arrangement: a replay, a writer and a follower of all their rooms, and every method once.

All of it goes through the edge. It goes on in rounds until it may end, and then until everything has arrived.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import grpc
from chatkit.messages.v1 import messages_service_pb2 as messages_pb2
from chatkit.messages.v1 import part_pb2
from chatkit.messages.v1 import read_states_service_pb2 as read_states_pb2
from chatkit.rooms.v1 import rooms_service_pb2 as rooms_pb2
from chatkit.users.v1 import users_service_pb2 as users_pb2

from chatkit_client import ChatkitError, Client, Gap, RoomsSubscription, connect
from chatkit_client.types import Position
from services.runtime.contract.errors import from_rpc_error
from services.stack.replay.checker import Checker
from services.stack.replay.export import Export, Message, Part, Room, User
from services.stack.replay.player import Player
from tests.checks.mixed.counts import Counts
from tests.permissions.callers import CALLERS, Caller, expected
from tests.permissions.cells import ROWS, Row, call, place
from tests.support import tokens
from tests.support.eventually import eventually
from tests.support.stubs import Stubs

_ROOMS, _MESSAGES, _SENDERS = 6, 40, 5
_WRITES = 20
# Of all callers of the matrix those who may call the most: one for everybody, and one who is asked for at rooms.
_CALLERS = [caller for caller in CALLERS if caller.name in {"su", "admin inside"}]
_CELLS_AT_ONCE = 4
_PAUSE_SECONDS = 0.05
# How long nothing may arrive before what is missing counts as lost.
_STALL_SECONDS = 30.0
_END = 2**40
_NO_PROXY = (("grpc.enable_http_proxy", 0),)


@dataclass
class Traffic:
    """The traffic of one arrangement, whose users and rooms have its number in their names."""

    number: int
    address: str
    counts: Counts
    # The paths of the methods that both releases have.
    methods: Collection[str]
    # Whether replicas are restarted meanwhile, and how often they were: only then calls are repeated, and streams end.
    is_disturbed: bool = False
    restarts: int = 0
    # How much has been done, for whoever wants some more of it.
    done: int = 0
    _may_end: asyncio.Event = field(default_factory=asyncio.Event)
    # The rooms of which the reader is a member.
    _room_ids: list[str] = field(default_factory=list)

    def may_end(self) -> None:
        """Let no further round begin."""
        self._may_end.set()

    async def go(self) -> None:
        """Go on until it may end, and count."""
        async with connect(self.address, tokens.token(None, su=True), options=_NO_PROXY) as client:
            reader = client.with_token(tokens.token(self._reader_id))
            request = users_pb2.CreateUserRequest(id=self._reader_id, name="Reader")
            await client.call(request, repeatable=True)
            async with _Follower(reader).following() as follower:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._in_rounds("replay", lambda number: self._play(client, number)))
                    group.create_task(self._in_rounds("writer", lambda number: self._write(reader, number, follower)))
                    group.create_task(self._in_rounds("methods", self._call_all))
                await self._count(follower)

    async def _in_rounds(self, name: str, work: Callable[[int], Awaitable[None]]) -> None:
        """Work until it may end, or fails: then the others still go on, and show what else fails."""
        try:
            for number in count():
                await work(number)
                if self._may_end.is_set():
                    return
        except Exception as error:  # noqa: BLE001 - whatever it was, the releases did not work together
            self.counts.failed.extend(f"{name}: {cause}" for cause in causes(error))

    async def _play(self, client: Client, number: int) -> None:
        def sign_in(user_id: str | None) -> str:
            return tokens.token(user_id, su=user_id is None)

        export = self._export(number)
        result = await Player(client, sign_in, self._go_on).play(export)
        self._room_ids.extend(room.id for room in export.rooms)
        self.counts.acknowledged += result.sent
        self.counts.lost += result.lost
        self.counts.doubled += result.doubled
        self.counts.out_of_order += result.out_of_order
        self.counts.repeated += result.turned_away.total()
        self.counts.failed.extend(f"replay: {refused.where}: {refused.why}" for refused in result.refused)

    async def _write(self, reader: Client, number: int, follower: "_Follower") -> None:
        """Send, edit and delete in a room of the reader's own that is followed from its first event, and read it."""
        room_id = f"written {self.number}-{number}"
        room = rooms_pb2.CreateRoomRequest(id=room_id, name=room_id, visibility="VISIBILITY_PRIVATE")
        await self._made(reader, room)
        self._room_ids.append(room_id)
        await follower.opened(room_id)
        for write in range(_WRITES):
            sent = messages_pb2.SendMessageRequest(room_id=room_id, parts=[_text(f"{write}")], request_id=f"{write}")
            seq = (await self._made(reader, sent)).message.seq
            self.counts.acknowledged += 1
            edit = messages_pb2.EditMessageRequest(room_id=room_id, seq=seq, parts=[_text("edited")])
            await self._made(reader, edit)
            deletion = messages_pb2.DeleteMessageRequest(room_id=room_id, seq=seq)
            await self._made(reader, deletion)
            read = read_states_pb2.SetReadCursorRequest(room_id=room_id, seq=seq)
            await self._made(reader, read)

    async def _made(self, client: Client, request: Any) -> Any:
        """Make a call, again when it was refused in passing: each of these is harmless twice."""
        answer = await client.call(request, repeatable=self.is_disturbed)
        self._go_on()
        return answer

    async def _call_all(self, number: int) -> None:
        """Call every method that both releases have."""
        at_once = asyncio.Semaphore(_CELLS_AT_ONCE)
        async with grpc.aio.insecure_channel(self.address, options=_NO_PROXY) as channel:
            stubs = _ThroughEdge(channel)
            with suppress(grpc.aio.AioRpcError):
                await stubs.make_users("owner", "member", "stranger")

            async def cell(row: Row, caller: Caller, name: str) -> None:
                async with at_once:
                    await self._call_one(stubs, row, caller, name)

            rows = [row for row in ROWS if row.method.path in self.methods]
            cells = [(row, caller) for row in rows for caller in _CALLERS]
            async with asyncio.TaskGroup() as group:
                for n, one in enumerate(cells):
                    group.create_task(cell(*one, f"{self.number}-{number}-{n}"))

    async def _call_one(self, stubs: "_ThroughEdge", row: Row, caller: Caller, name: str) -> None:
        """Call a method in a place of its own, in another one when it was refused in passing."""
        wanted = expected(row.method, caller, room_is_public=row.room_is_public, is_own=row.is_own)
        for attempt in count():
            try:
                at = await place(stubs, row, caller, f"{name}-{attempt}")
                told = await call(stubs.edge, row.method, caller, at)
            except grpc.aio.AioRpcError as error:
                told = from_rpc_error(error, row.method.path).reason
                if self.is_disturbed and error.code() is grpc.StatusCode.UNAVAILABLE:
                    self.counts.repeated += 1
                    await asyncio.sleep(_PAUSE_SECONDS)
                    continue
            self._go_on()
            if told == wanted:
                self.counts.answered += 1
            else:
                self.counts.failed.append(f"{row.name} as {caller.name}: {told} and not {wanted}")
            return

    async def _count(self, follower: "_Follower") -> None:
        for room_id in self._room_ids:
            await follower.opened(room_id)
        checkers = await follower.checked()
        self.counts.lost += sum(checker.lost for checker in checkers)
        self.counts.doubled += sum(checker.doubled for checker in checkers) + follower.events.repeated
        self.counts.out_of_order += sum(checker.out_of_order for checker in checkers) + follower.events.holes
        self.counts.failed.extend(follower.failed)
        # A restart ends a stream once at the most.
        self.counts.repeated += follower.events.streams - 1
        if follower.events.streams > 1 + self.restarts:
            self.counts.failed.append(
                f"the stream of rooms was opened {follower.events.streams} times, with {self.restarts} restarts"
            )

    def _go_on(self, steps: int = 1) -> None:
        self.done += steps

    @property
    def _reader_id(self) -> str:
        return f"reader {self.number}"

    def _export(self, number: int) -> Export:
        users = tuple(User(f"sender {self.number}-{n}", f"Sender {n}", "", None) for n in range(_SENDERS))
        rooms = tuple(self._room(f"played {self.number}-{number}-{n}", users) for n in range(_ROOMS))
        return Export(users, rooms)

    def _room(self, room_id: str, users: tuple[User, ...]) -> Room:
        messages = tuple(
            Message(users[n % len(users)].id, (Part("text/plain", f"{room_id}, {n}", None),), f"{n}")
            for n in range(_MESSAGES)
        )
        members = (*(user.id for user in users), self._reader_id)
        return Room(room_id, room_id, True, users[0].id, members, None, messages)


class _Follower:
    """Follows on one stream every room of which a user becomes a member, and notes what arrives of each."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.events: RoomsSubscription = client.subscribe_rooms(
            follow_memberships=True, include_cursors=True, include_read_states=True, default_last=0
        )
        self.failed: list[str] = []
        self._checkers: dict[str, Checker] = {}

    @asynccontextmanager
    async def following(self) -> AsyncIterator["_Follower"]:
        """Follow while the context is open."""
        async with self.events:
            task = asyncio.create_task(self._follow())
            try:
                yield self
            finally:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def opened(self, room_id: str) -> None:
        """Return when a room is followed; raises TimeoutError, naming it, when it is not for long."""
        try:
            await eventually(lambda: room_id in self._checkers, _STALL_SECONDS)
        except TimeoutError:
            raise TimeoutError(f"{room_id!r} is not followed by its member") from None

    async def checked(self) -> list[Checker]:
        """Return what is found about each room, after everything that its log has has arrived, or nothing for long."""
        for room_id, checker in self._checkers.items():
            epoch = self.events.positions[room_id].epoch
            after = Position(epoch=epoch, seq=checker.head_seq)
            async for event in self._client.log(room_id, after, _END):
                checker.acknowledge(event.seq, _kind(event))
            await checker.arrival(_STALL_SECONDS)
        return list(self._checkers.values())

    async def _follow(self) -> None:
        try:
            async for event in self.events:
                self._take(event)
        except ChatkitError as error:
            self.failed.append(f"the stream of rooms: {error}")

    def _take(self, event: Any) -> None:
        if isinstance(event, Gap):
            self.failed.append(f"the stream of rooms has a gap: {event.reason}")
        elif event.HasField("opened") and event.room_id:
            if event.room_id not in self._checkers:
                self._checkers[event.room_id] = Checker(head_seq=event.opened.position.seq)
        elif event.HasField("closed"):
            self.failed.append(f"the stream of rooms has closed {event.room_id}: {event.closed.reason}")
        elif event.seq:
            self._checkers[event.room_id].arrive(event.seq, _kind(event))


class _ThroughEdge(Stubs):
    """Stubs that call through the edge."""

    def __init__(self, edge: grpc.aio.Channel) -> None:
        self.edge = edge

    def channel(self, service: str) -> grpc.aio.Channel:
        """Return the channel to the edge, which finds the service."""
        return self.edge


def _kind(event: Any) -> bytes:
    return str(event.WhichOneof("event")).encode()


def _text(content: str) -> part_pb2.Part:
    return part_pb2.Part(content_type="text/plain", content=content)


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield what really failed of what failed side by side."""
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from causes(one)
    else:
        yield error
