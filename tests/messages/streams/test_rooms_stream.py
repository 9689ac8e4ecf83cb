"""The queue of a stream of several rooms: what is kept back, dropped and closed, and for which of its rooms."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import uuid4

from chatkit.contract.v1 import error_reason_pb2, method_policy_pb2
from chatkit.messages.v1 import messages_service_pb2 as pb2
from chatkit.messages.v1 import room_event_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from services.messages import frames
from services.messages.streams.rooms_stream import RoomOfStream, RoomsStream
from services.runtime.access.cache import Freshness
from services.runtime.access.port import AccessQuery, RoomGrant
from services.runtime.contract.errors import ChatkitError, PermissionDenied
from services.runtime.identity.tokens import Caller
from services.runtime.ids import NO_ROOM, RoomUid, UserId, UserUid
from tests.support.clock import ManualClock
from tests.support.eventually import HANG_SECONDS

_NAMES = ("one", "two", "three")
_OPS = st.lists(st.tuples(st.sampled_from(["push", "push", "doubt", "trust", "read", "cut"]), st.sampled_from(_NAMES)))


class _Stream:
    """A stream on a clock that stands still, its rooms, and the events that its reader has been given."""

    def __init__(self, patience: float = float("inf"), ending_delay: float = 0.0) -> None:
        self.clock = ManualClock()
        self.freshness = Freshness(self.clock, patience=patience)
        self.freshness.prove(0.0)
        query = AccessQuery(NO_ROOM, UserId("bob"), False, method_policy_pb2.MEMBERSHIP_REQUIRED, "")
        caller = Caller(UserId("bob"), superuser=False, service=None, expire_time=self.clock.now() + timedelta(hours=1))
        self.stream = RoomsStream(query, caller, self.clock, self.freshness, ending_delay=ending_delay)
        self.stream.queue.open(0, [])
        self.rooms = {name: self._room(name) for name in _NAMES}
        self.pushed = dict.fromkeys(_NAMES, 0)
        self.events: list[room_event_pb2.RoomEvent] = []

    def _room(self, name: str) -> RoomOfStream:
        room = RoomOfStream(self.stream, RoomGrant(RoomUid(uuid4()), UserUid(uuid4())), name)
        self.stream.rooms[room.room_uid] = room
        room.open("epoch", 0, [])
        return room

    def push(self, name: str, size: int = 0) -> None:
        self.pushed[name] += 1
        seq = self.pushed[name]
        event = frames.caught_up_event(name, self.clock.now(), seq)
        self.rooms[name].push(seq, event + frames.caught_up_event("x" * size, self.clock.now(), 0) if size else event)

    async def read(self) -> None:
        """Let the reader take whatever may be taken."""
        await self.clock.advance(0.01)

    def seqs(self, name: str) -> list[int]:
        return [event.caught_up.seq for event in self.events if event.room_id == name and event.HasField("caught_up")]

    def closed(self) -> dict[str, str]:
        name = error_reason_pb2.ErrorReason.Name
        closed = [event for event in self.events if event.HasField("closed")]
        return {event.room_id: name(event.closed.reason) for event in closed}


@asynccontextmanager
async def _reading(stream: _Stream) -> AsyncIterator["asyncio.Task[str]"]:
    async def read() -> str:
        try:
            async for frame in stream.stream.queue.frames():
                stream.events.extend(pb2.SubscribeRoomsResponse.FromString(frame).events)
        except ChatkitError as ending:
            return ending.reason
        raise AssertionError

    task = asyncio.create_task(read())
    yield task
    task.cancel()
    await asyncio.wait({task})


def _removed() -> PermissionDenied:
    return PermissionDenied("REMOVED_FROM_ROOM", "")


@settings(max_examples=60, deadline=None)
@given(ops=_OPS)
def test_each_room_is_dense_and_in_order_whatever_is_doubted_trusted_and_closed(ops: list[tuple[str, str]]) -> None:
    async def play() -> None:
        stream = _Stream()
        doubted: set[str] = set()
        cut: dict[str, int] = {}
        async with _reading(stream):
            for op, name in ops:
                room = stream.rooms[name]
                match op:
                    case "push":
                        stream.push(name)
                    case "doubt" if name not in cut:
                        doubted.add(name)
                        room.doubt()
                    case "trust":
                        doubted.discard(name)
                        room.trust((), room.doubts)
                    case "read":
                        before = {one: len(stream.seqs(one)) for one in doubted}
                        await stream.read()
                        assert before == {one: len(stream.seqs(one)) for one in doubted}
                    case "cut" if name not in cut:
                        doubted.discard(name)
                        cut[name] = len(stream.seqs(name))
                        room.cut(_removed())
            for room in stream.rooms.values():
                room.trust((), room.doubts)
            await stream.read()
            for name in _NAMES:
                expected = cut.get(name, stream.pushed[name])
                assert stream.seqs(name) == list(range(1, expected + 1))
            positions = {
                event.room_id: event.closed.position.seq for event in stream.events if event.HasField("closed")
            }
            assert positions == cut
            assert not stream.stream.doubtful

    asyncio.run(play())


async def test_too_much_that_a_doubt_keeps_back_closes_the_room_and_not_the_stream() -> None:
    stream = _Stream()
    async with _reading(stream):
        stream.rooms["one"].doubt()
        for _ in range(300):
            stream.push("one", 5_000)
            await stream.read()
        stream.push("two")
        await stream.read()
        assert stream.closed() == {"one": "SERVICE_UNAVAILABLE"}
        assert (stream.seqs("one"), stream.seqs("two")) == ([], [1])
        # What was kept back counts no longer.
        for _ in range(300):
            stream.push("two", 3_000)
            await stream.read()
        assert stream.seqs("two") == list(range(1, 302))


async def test_too_much_that_a_reader_leaves_ends_the_stream() -> None:
    stream = _Stream()
    for _ in range(300):
        stream.push("one", 5_000)
    async with _reading(stream) as task:
        assert await task == "SLOW_CONSUMER"
        assert stream.events == []


async def test_a_doubt_that_lasts_closes_its_room_and_not_knowing_ends_the_stream() -> None:
    stream = _Stream(patience=30.0, ending_delay=5.0)
    async with _reading(stream) as task:
        stream.rooms["one"].doubt()
        for seconds in (20, 14, 1):
            stream.stream.check_access()
            assert stream.closed() == {}
            await stream.clock.advance(seconds)
            stream.freshness.prove(stream.clock.monotonic())
        stream.stream.check_access()
        await stream.read()
        assert stream.closed() == {"one": "SERVICE_UNAVAILABLE"}
        assert set(stream.stream.rooms.values()) == {stream.rooms["two"], stream.rooms["three"]}
        await stream.clock.advance(30)
        stream.push("two")
        await stream.read()
        stream.stream.check_access()
        assert (stream.seqs("two"), task.done()) == ([], False)
        await stream.clock.advance(5)
        stream.stream.check_access()
        assert await task == "SERVICE_UNAVAILABLE"
        assert stream.seqs("two") == []


async def test_the_next_rooms_are_opened_when_the_reader_has_taken_those_before() -> None:
    stream = _Stream()
    beginning = [(0, frames.caught_up_event("x" * 4_000, stream.clock.now(), 0))] * 100
    stream.stream.queue.begin(beginning, stream.rooms["one"])
    waiting = asyncio.create_task(stream.stream.queue.wait_for_room())
    await stream.read()
    assert not waiting.done()
    async with _reading(stream):
        for _ in range(4):
            await stream.read()
        await waiting
    assert len(stream.events) == 100


async def test_a_stream_that_ends_lets_go_who_waits_to_open_the_next_rooms() -> None:
    stream = _Stream()
    stream.stream.queue.begin([(0, b"x" * 300_000)], stream.rooms["one"])
    waiting = asyncio.create_task(stream.stream.queue.wait_for_room())
    await stream.read()
    assert not waiting.done()
    stream.stream.queue.end(_removed())
    async with asyncio.timeout(HANG_SECONDS):
        await waiting


def test_a_room_costs_little_on_each_further_stream() -> None:
    names, uids = [f"room {number}" for number in range(1_000)], [RoomUid(uuid4()) for _ in range(1_000)]

    def follow() -> RoomsStream:
        stream = _Stream().stream
        for name, uid in zip(names, uids, strict=True):
            # Strings of their own, as requests bring them.
            room = RoomOfStream(stream, RoomGrant(uid, UserUid(uid)), bytes(name, "ascii").decode())
            room.open(bytes(f"epoch of {name}", "ascii").decode(), 0, [])
            stream.rooms[uid] = room
        return stream

    tracemalloc.start()
    try:
        kept = [follow()]
        before, _ = tracemalloc.get_traced_memory()
        kept.append(follow())
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(kept[1].rooms) == 1_003
    assert after - before < 300 * 1_000
