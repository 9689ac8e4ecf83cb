"""A process that follows very many rooms: what one turn of the event loop does, and that heartbeats go on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, cast
from uuid import UUID, uuid4

from chatkit.contract.v1 import method_policy_pb2
from chatkit.messages.v1 import messages_service_pb2 as pb2

from services.messages.fanout.hubs import Hubs
from services.messages.log.store import LogStretch
from services.messages.model import EMPTY, Head
from services.messages.stream_access import StreamAccess
from services.messages.streams.rooms_stream import RoomOfStream, RoomsStream
from services.runtime.access.cache import Freshness
from services.runtime.access.port import AccessQuery, RoleChanged, RoomGrant
from services.runtime.contract.errors import Unavailable
from services.runtime.identity.tokens import Caller
from services.runtime.ids import NO_ROOM, RoomUid, UserId, UserUid
from services.runtime.steps import MOST_AT_ONCE, WAKING
from tests.messages.fanout.reading import follow
from tests.support.clock import ManualClock
from tests.support.turns import Turns

_ROOMS_OF_STREAM = 1_000
_INTERVAL, _HEARTBEAT = 2.0, 15.0
_ROLE = (1, "default")


class _Store:
    """Logs that are empty, but for those that a test moves; one may never be read."""

    def __init__(self) -> None:
        self.turns = Turns()
        self.heads: dict[UUID, Head] = {}
        self.looked_at: list[UUID] = []

    async def tail(self, _room_uid: RoomUid, _most: int) -> LogStretch:
        return LogStretch(EMPTY, ())

    async def after(self, _room_uid: RoomUid, _seq: int, _most: int) -> LogStretch:
        await asyncio.Event().wait()
        raise AssertionError

    async def moved_heads(self, known: list[tuple[UUID, Head]]) -> dict[UUID, Head]:
        self.turns.note(len(known))
        self.looked_at += [room_uid for room_uid, _ in known]
        return {uid: self.heads[uid] for uid, head in known if self.heads.get(uid, head) != head}


class _Room(RoomOfStream):
    """A room that notes when it comes into doubt."""

    turns: Turns

    def doubt(self) -> None:
        self.turns.note()
        super().doubt()


class _World:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.store = _Store()
        self.turns = self.store.turns
        self.freshness = Freshness(self.clock, float("inf"))
        self.freshness.prove(0.0)
        self.hubs = Hubs(
            cast("Any", self.store),
            self.clock,
            heads_interval=_INTERVAL,
            heartbeat_interval=_HEARTBEAT,
            most_replayed=100,
            on_loss=lambda: asyncio.sleep(0),
        )
        self.watch = StreamAccess(cast("Any", None), self.hubs, self.freshness, self.clock, retry_interval=1.0)

    async def streams(self, count: int) -> list[RoomsStream]:
        """Open streams of a thousand rooms each."""
        return [await self._stream(f"user-{number}") for number in range(count)]

    async def _stream(self, user_id: str) -> RoomsStream:
        query = AccessQuery(NO_ROOM, UserId(user_id), False, method_policy_pb2.MEMBERSHIP_REQUIRED, "room:messages:get")
        caller = Caller(UserId(user_id), False, None, self.clock.now() + timedelta(days=1))
        stream = RoomsStream(query, caller, self.clock, self.freshness, ending_delay=0.0)
        self.hubs.attach(stream)
        stream.queue.open(0, [])
        for _ in range(_ROOMS_OF_STREAM):
            room = _Room(stream, RoomGrant(RoomUid(uuid4()), UserUid(uuid4())), "room")
            room.turns = self.turns
            stream.rooms[room.room_uid] = room
            hub = self.hubs.join("room", room)
            await follow(hub, self.store, 0)
            room.open("epoch", 0, [])
            room.trust((_ROLE,), 0)
        return stream

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with self.turns:
            task = asyncio.create_task(self.hubs.run())
            await self.clock.advance(0)
            try:
                yield
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)


def _beats(stream: RoomsStream) -> list[tuple[str, int]]:
    """Take the heartbeats that wait on a stream: the room, if any, and the head."""
    events = pb2.SubscribeRoomsResponse.FromString(stream.queue._drain()).events
    return [(event.room_id, event.heartbeat.head_seq) for event in events if event.HasField("heartbeat")]


async def test_the_heads_of_very_many_rooms_are_read_in_slices_and_within_a_heartbeat() -> None:
    world = _World()
    streams = await world.streams(50)
    async with world.running():
        for _ in range(3):
            # And the tick after which a stream that was told in a late step is due again.
            await world.clock.advance(_HEARTBEAT + 1)
            # None of the streams is silent for longer than that, and the steps in which they are told.
            await world.turns.until(lambda: all(stream.queue._waiting for stream in streams), 10 * len(streams))
            assert {tuple(_beats(stream)) for stream in streams} == {(("", 0),)}
    assert len(set(world.store.looked_at)) == 50 * _ROOMS_OF_STREAM
    assert world.turns.most <= MOST_AT_ONCE


async def test_a_look_at_every_head_at_once_is_made_in_slices_too() -> None:
    world = _World()
    await world.streams(20)
    async with world.running():
        world.hubs.doubt_all()
        await world.turns.until(lambda: len(world.store.looked_at) == 20 * _ROOMS_OF_STREAM)
    assert world.turns.most <= MOST_AT_ONCE


async def test_a_room_that_can_not_be_read_keeps_no_other_rooms_heartbeat_back() -> None:
    world = _World()
    streams = await world.streams(3)
    stuck = [next(iter(stream.rooms)) for stream in streams[:2]]
    async with world.running():
        world.store.heads = dict.fromkeys(stuck, Head(1, 1))
        await world.clock.advance(_HEARTBEAT)
        assert [_beats(stream) for stream in streams] == [[("", 0)]] * 3
        await world.clock.advance(_HEARTBEAT)
        # A sign of life that says nothing of the room which is stuck.
        assert [_beats(stream) for stream in streams] == [[("room", 0)], [("room", 0)], [("", 0)]]


async def test_a_busy_room_is_looked_at_more_often_than_the_lap_comes_by() -> None:
    world = _World()
    streams = await world.streams(20)
    busy = next(iter(streams[-1].rooms))
    async with world.running():
        world.hubs.offer(busy, cast("Any", _entry()))
        world.store.looked_at.clear()
        await world.clock.advance(_INTERVAL)
    assert busy in world.store.looked_at


def _entry() -> object:
    class Old:
        seq = 0

    return Old()


async def test_all_rooms_come_into_doubt_in_steps_and_nothing_is_sent_meanwhile() -> None:
    world = _World()
    streams = await world.streams(20)
    frames = streams[-1].queue.frames()
    async with world.running():
        world.watch.changed(RoleChanged(_ROLE))
        # The last stream is not in doubt yet, and could lose access by this change as well.
        assert not streams[-1].doubtful
        next(iter(streams[-1].rooms.values())).push(1, b"secret")
        sent = asyncio.ensure_future(anext(frames))
        await world.turns.until(lambda: all(len(stream.doubtful) == _ROOMS_OF_STREAM for stream in streams))
        await world.clock.advance(1)
        assert not sent.done()
        sent.cancel()
    assert not world.freshness.is_held
    assert world.turns.most <= _ROOMS_OF_STREAM + MOST_AT_ONCE


async def test_a_change_of_a_role_that_nobody_has_lets_streams_go_on() -> None:
    world = _World()
    streams = await world.streams(20)
    async with world.running():
        world.watch.changed(RoleChanged((1, "other")))
        assert world.freshness.is_held
        next(iter(streams[-1].rooms.values())).push(1, wire_event := b"\n\x00")
        sent = asyncio.ensure_future(anext(streams[-1].queue.frames()))
        await world.clock.advance(1)
        assert sent.result() == wire_event


async def test_streams_end_in_steps_at_a_drain() -> None:
    world = _World()
    streams = await world.streams(20)
    async with world.running():

        def shutting_down() -> Unavailable:
            world.turns.note()
            return Unavailable("SHUTTING_DOWN", "")

        world.hubs.end_all(shutting_down)
        await world.turns.until(lambda: all(stream.queue.error is not None for stream in streams))
    # Each has a thousand rooms to leave.
    assert world.turns.most == 1


async def test_a_new_epoch_voids_every_hub_at_once_and_ends_the_streams_in_steps() -> None:
    world = _World()
    streams = await world.streams(20)
    hubs = list(world.hubs._hubs.values())
    async with world.running():
        world.hubs.reset()
        assert not any(hub.is_seeded for hub in hubs)
        assert not world.hubs.wants(hubs[0].room_uid, 1)
        await world.turns.until(lambda: all(stream.queue.error is not None for stream in streams))
    assert {stream.queue.error.reason for stream in streams if stream.queue.error} == {"LOG_RESET"}
    assert WAKING < MOST_AT_ONCE
