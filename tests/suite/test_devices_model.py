"""Random operations of several users, and devices that come and go at two replicas of messages.

Whenever nothing moves, what each device has put together is what the unary calls say. Meanwhile streams are cut, tokens
renewed, watch lists and rooms changed, and NATS is killed, all at random.
"""

import asyncio
import random
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
from chatkit.sync.v1 import room_to_follow_pb2
from chatkit.sync.v1 import sync_service_pb2 as pb2
from chatkit.sync.v1.sync_service_pb2_grpc import SyncServiceStub

from tests.rooms.user_streams.reading import listed
from tests.suite.devices import State, presence, room
from tests.suite.devices import user as user_part
from tests.suite.world import ROOMS, SEED, USERS, World, messages_of, presence_of, read_states_of, rounds, two_replicas
from tests.support import tokens
from tests.support.databases import TestDatabase
from tests.support.eventually import HANG_SECONDS, eventually
from tests.support.nats import Nats
from tests.support.suite import Suite
from tests.support.tokens import user

# Fewer messages than this are in a room, so that a snapshot has them all.
_LAST = 100
_ALL, _READ_STATE = room_to_follow_pb2.ROOM_DETAIL_EVENTS, room_to_follow_pb2.ROOM_DETAIL_READ_STATE


class _Client:
    """A device that always has a stream, at one replica or the other, and goes on where it stood."""

    def __init__(self, who: str, channels: list[grpc.aio.Channel], chance: random.Random) -> None:
        self.who = who
        self.state = State()
        self.watched = set(chance.sample(USERS, 2))
        # How much of rooms is told for which it is not everything.
        self.details: dict[str, Any] = {}
        self.openings = self.resumed = self.changed = 0
        self._channels = channels
        self._chance = chance
        self._stream_id = ""
        self._has_caught_up = False
        self._call: Any = None
        self._is_cut = False
        # Set while it may have a stream.
        self._is_there = asyncio.Event()
        self._is_there.set()

    @property
    def is_caught_up(self) -> bool:
        return self._has_caught_up and self.state.user.is_caught_up

    def cut(self) -> None:
        if self._call is not None:
            self._is_cut = True
            self._call.cancel()

    def go_away(self) -> None:
        """Lose the stream, and have no other one before `come_back`."""
        self._is_there.clear()
        self._has_caught_up = False
        self.cut()

    def come_back(self) -> None:
        self._is_there.set()

    async def run(self) -> None:
        while True:
            await self._is_there.wait()
            self._is_cut = False
            try:
                await self._read()
            except asyncio.CancelledError:
                if not self._is_cut:
                    raise

    async def _read(self) -> None:
        """Read one stream; it ends only because it is cut."""
        self._stream_id, self._has_caught_up, self.state.user.is_caught_up = "", False, False
        self.openings += 1
        self._call = self._stub().Subscribe(self._request(), metadata=user(self.who))
        async for frame in self._call:
            for event in frame.events:
                if event.HasField("opened"):
                    self._stream_id = event.opened.stream_id
                self.state.take(event)
                self.resumed += event.user.opened.resumed
                self._has_caught_up |= event.HasField("caught_up")

    def _stub(self) -> Any:
        return SyncServiceStub(self._chance.choice(self._channels))

    def _request(self) -> pb2.SubscribeRequest:
        known = {room_id: one for room_id, one in self.state.rooms.items() if one.is_open}
        return pb2.SubscribeRequest(
            rooms=[
                room(room_id, after=one.position, detail=self.details.get(room_id, _ALL))
                for room_id, one in known.items()
            ],
            follow_memberships=True,
            default_last=_LAST,
            include_read_states=True,
            user=user_part(self.state.user_position),
            presence=presence(*sorted(self.watched), online=self.who == "alice"),
        )

    async def change(self) -> None:
        """Change the open stream, or renew its token; where it is being cut, the next one is as it was wanted."""
        if not self._has_caught_up:
            return
        self.changed += 1
        match self._chance.randrange(3):
            case 0:
                renewed = tokens.bearer(tokens.token(self.who, ttl=timedelta(hours=2 + self.changed)))
                await self._tell("RenewToken", pb2.RenewTokenRequest(stream_id=self._stream_id), renewed)
            case 1:
                await self._watch()
            case 2:
                await self._look_closer()

    async def _watch(self) -> None:
        request = pb2.UpdateSubscriptionRequest(stream_id=self._stream_id)
        who = self._chance.choice(USERS)
        if who in self.watched:
            request.unwatch_user_ids.append(who)
        else:
            request.watch_user_ids.append(who)
        self.watched ^= {who}
        await self._tell("UpdateSubscription", request, user(self.who))
        if who not in self.watched:
            self.state.presence.pop(who, None)

    async def _look_closer(self) -> None:
        """Have all events of a room instead of what it holds, or the other way round."""
        open_rooms = [room_id for room_id, one in self.state.rooms.items() if one.is_open and room_id in ROOMS]
        if not open_rooms:
            return
        room_id = self._chance.choice(open_rooms)
        detail = _ALL if self.details.get(room_id) == _READ_STATE else _READ_STATE
        self.details[room_id] = detail
        # It begins anew.
        self.state.rooms[room_id].position = None
        request = pb2.UpdateSubscriptionRequest(
            stream_id=self._stream_id, follow_rooms=[room(room_id, detail=detail, last=_LAST)]
        )
        await self._tell("UpdateSubscription", request, user(self.who))

    async def _tell(self, method: str, request: Any, metadata: tokens.Metadata) -> None:
        call = self._call
        try:
            await getattr(self._stub(), method)(request, metadata=metadata, timeout=HANG_SECONDS)
        except grpc.aio.AioRpcError:
            # NATS or the stream is away: so that nobody need know what became of it, another stream is opened.
            if call is self._call:
                self.cut()


async def _stored(suite: Suite, client: _Client) -> dict[str, Any]:
    """Return what the unary calls say of everything that a device follows."""
    rooms = await listed(suite, client.who)
    return {
        "rooms": rooms,
        "messages": {
            room_id: await messages_of(suite, client.who, room_id)
            for room_id in rooms
            if client.details.get(room_id, _ALL) == _ALL
        },
        "read states": await read_states_of(suite, client.who),
        "presence": await presence_of(suite, client.who, client.watched),
    }


def _known(client: _Client) -> dict[str, Any]:
    """Return the same as the device has put it together."""
    rooms = {room_id: one for room_id, one in client.state.rooms.items() if one.is_open}
    return {
        "rooms": client.state.user.rooms,
        "messages": {
            room_id: {seq: content for seq, content in one.messages.items() if content is not None}
            for room_id, one in rooms.items()
            if client.details.get(room_id, _ALL) == _ALL
        },
        "read states": {
            room_id: (one.read_state.cursor.seq, one.read_state.unread_count)
            for room_id, one in rooms.items()
            if one.read_state is not None
        },
        "presence": client.state.presence,
    }


async def _agree(suite: Suite, clients: list[_Client], note: str) -> None:
    """Check, where nothing moves, that every device comes to know what is stored, and was told no entry twice."""
    for client in clients:
        stored = await _stored(suite, client)
        try:
            await eventually(lambda: client.is_caught_up and _known(client) == stored)  # noqa: B023
        except TimeoutError:
            assert (client.who, client.is_caught_up, _known(client)) == (client.who, True, stored), note
        for room_id, one in client.state.rooms.items():
            assert one.seqs == list(range(one.seqs[0], one.seqs[0] + len(one.seqs))) if one.seqs else True, room_id


async def test_what_devices_fold_to_is_what_is_stored_whatever_happens(database: TestDatabase, tmp_path: Path) -> None:
    chance = random.Random(SEED)
    async with two_replicas(database, tmp_path) as (suite, nats, addresses), AsyncExitStack() as stack:
        channels = [await stack.enter_async_context(grpc.aio.insecure_channel(address)) for address in addresses]
        world = World(suite, chance)
        clients = [_Client(who, channels, chance) for who in (*USERS, *USERS)]
        async with asyncio.TaskGroup() as group:
            reading = [group.create_task(client.run()) for client in clients]
            for number in rounds(10):
                await _disturbed(world.round(), clients, nats, chance)
                await _agree(suite, clients, f"seed {SEED}, round {number}")
            for task in reading:
                task.cancel()
        # Streams were cut and went on, and were changed while they were open.
        assert sum(client.resumed for client in clients) > len(clients), f"seed {SEED}"
        assert sum(client.changed for client in clients) > len(clients), f"seed {SEED}"


async def _disturbed(works: list[Awaitable[object]], clients: list[_Client], nats: Nats, chance: random.Random) -> None:
    """Make the operations of a round at once, and meanwhile cut and change streams, and kill NATS."""

    async def disturb(client: _Client) -> None:
        if chance.random() < 0.4:
            await client.change()
        elif chance.random() < 0.7:
            chance.choice((client.cut, client.go_away))()

    half = len(works) // 2
    await asyncio.gather(*works[:half], *map(disturb, clients), *works[half:])
    if chance.random() < 0.4:
        nats.kill()
        await asyncio.to_thread(nats.start)
    for client in clients:
        client.come_back()
