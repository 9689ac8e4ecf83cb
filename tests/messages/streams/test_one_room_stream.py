"""A stream of one room: bounded by bytes and by time, drained in frames, ended by its token."""

import asyncio
from datetime import timedelta
from typing import Any, cast
from uuid import uuid4

from chatkit.contract.v1 import method_policy_pb2

from services.messages.fanout.hubs import Hubs
from services.messages.streams.one_room_stream import OneRoomStream
from services.runtime.access.cache import Freshness
from services.runtime.access.port import AccessQuery, RoomGrant
from services.runtime.contract.errors import ChatkitError, PermissionDenied, Unavailable
from services.runtime.identity.tokens import Caller
from services.runtime.ids import RoomId, RoomUid, UserId, UserUid
from services.runtime.streaming.event_queue import FRAME_BYTES
from tests.support.clock import ManualClock
from tests.support.eventually import HANG_SECONDS


def _stream(clock: ManualClock, freshness: Freshness | None = None, ending_delay: float = 0.0) -> OneRoomStream:
    query = AccessQuery(RoomId("lobby"), UserId("bob"), False, method_policy_pb2.MEMBERSHIP_REQUIRED, "")
    caller = Caller(UserId("bob"), superuser=False, service=None, expire_time=clock.now() + timedelta(hours=1))
    freshness = freshness or Freshness(clock, patience=float("inf"))
    grant = RoomGrant(RoomUid(uuid4()), UserUid(uuid4()))
    opened = OneRoomStream(grant, query, caller, clock, freshness, ending_delay=ending_delay)
    freshness.prove(clock.monotonic())
    opened.queue.open(0, [])
    return opened


async def _ending(stream: OneRoomStream) -> tuple[list[bytes], str]:
    frames = []
    try:
        async with asyncio.timeout(HANG_SECONDS):
            async for frame in stream.queue.frames():
                frames.append(frame)  # noqa: PERF401 - it ends by raising
    except ChatkitError as ending:
        return frames, ending.reason
    raise AssertionError


async def test_what_has_piled_up_goes_in_frames_that_are_not_too_large() -> None:
    stream = _stream(ManualClock())
    for seq in range(1, 101):
        stream.push(seq, b"x" * 3_000)
    stream.push(101, b"y" * 100_000)
    stream.end(Unavailable("SHUTTING_DOWN", ""))
    frames, reason = await _ending(stream)
    assert [len(frame) for frame in frames] == [63_000] * 4 + [48_000, 100_000]
    assert all(len(frame) <= FRAME_BYTES for frame in frames[:-1])
    assert (reason, stream.queue.sent_seq) == ("SHUTTING_DOWN", 101)


async def test_too_many_bytes_waiting_drop_them_and_end_the_stream() -> None:
    stream = _stream(ManualClock())
    for seq in range(1, 400):
        stream.push(seq, b"x" * 5_000)
    assert await _ending(stream) == ([], "SLOW_CONSUMER")
    assert stream.queue.sent_seq == 0


async def test_twenty_seconds_without_progress_end_the_stream() -> None:
    clock = ManualClock()
    stream = _stream(clock)
    await clock.advance(100)
    stream.queue.check_progress()
    assert stream.queue.error is None
    stream.push(1, b"x")
    await clock.advance(20)
    stream.queue.check_progress()
    assert stream.queue.error is None
    await clock.advance(0.5)
    stream.queue.check_progress()
    assert await _ending(stream) == ([], "SLOW_CONSUMER")


async def test_nothing_is_sent_once_the_token_has_expired() -> None:
    clock = ManualClock()
    stream = _stream(clock)
    stream.push(1, b"x")
    await clock.advance(3600)
    assert await _ending(stream) == ([], "TOKEN_EXPIRED")


async def test_nothing_is_sent_once_the_stream_was_cut() -> None:
    stream = _stream(ManualClock())
    stream.push(1, b"x")
    stream.cut(PermissionDenied("REMOVED_FROM_ROOM", ""))
    assert await _ending(stream) == ([], "REMOVED_FROM_ROOM")


async def test_what_waits_for_a_removed_member_is_dropped_and_for_others_is_not() -> None:
    clock = ManualClock()
    removed, other = _stream(clock), _stream(clock)
    other.room_uid = removed.room_uid
    hubs = Hubs(
        cast("Any", None),
        clock,
        heads_interval=1,
        heartbeat_interval=1,
        most_replayed=1,
        on_loss=lambda: asyncio.sleep(0),
    )
    for stream in (removed, other):
        hubs.join("lobby", stream)
        stream.push(1, b"x")
    assert removed.user_uid is not None
    hubs.end_member(removed.room_uid, removed.user_uid)
    other.end(Unavailable("SHUTTING_DOWN", ""))
    assert await _ending(removed) == ([], "REMOVED_FROM_ROOM")
    assert await _ending(other) == ([b"x"], "SHUTTING_DOWN")


class _Reading:
    """A stream on a clock that stands still, and what it was given so far."""

    def __init__(self, stream: OneRoomStream) -> None:
        self.stream = stream
        self.frames: list[bytes] = []
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> str:
        try:
            async for frame in self.stream.queue.frames():
                self.frames.append(frame)
        except ChatkitError as ending:
            return ending.reason
        raise AssertionError


async def test_nothing_is_sent_while_nobody_knows_who_has_access_and_all_of_it_afterwards() -> None:
    clock = ManualClock()
    freshness = Freshness(clock, patience=30.0)
    stream = _stream(clock, freshness, ending_delay=5.0)
    reading = _Reading(stream)
    stream.push(1, b"a")
    await clock.advance(29)
    assert reading.frames == [b"a"]
    await clock.advance(1)
    stream.push(2, b"b")
    await clock.advance(0)
    # So long nothing is read that the stream would be given up, were it the reader's fault.
    for _ in range(4):
        stream.queue.check_progress()
        await clock.advance(10)
    assert (reading.frames, stream.queue.error) == ([b"a"], None)
    freshness.prove(clock.monotonic())
    stream.wake()
    await clock.advance(0)
    assert reading.frames == [b"a", b"b"]
    stream.queue.check_progress()
    assert stream.queue.error is None
    reading.task.cancel()


async def test_what_waits_to_be_joined_with_more_is_not_sent_when_a_doubt_comes_first() -> None:
    clock = ManualClock()
    stream = _stream(clock)
    reading = _Reading(stream)
    stream.push(1, b"a")
    await clock.advance(0)
    stream.push(2, b"b")
    await clock.advance(0)
    stream.doubt()
    await clock.advance(1)
    assert reading.frames == [b"a"]
    reading.task.cancel()


async def test_what_was_queued_before_a_stop_is_not_sent_after_it() -> None:
    clock = ManualClock()
    stream = _stream(clock, Freshness(clock, patience=30.0), ending_delay=5.0)
    stream.push(1, b"a")
    # The process is stopped before the stream's task has its turn.
    clock.jump(60)
    reading = _Reading(stream)
    await clock.advance(0)
    assert reading.frames == []
    stream.cut(PermissionDenied("REMOVED_FROM_ROOM", ""))
    assert await reading.task == "REMOVED_FROM_ROOM"
    assert reading.frames == []


async def test_a_stream_ends_its_own_delay_after_it_was_noticed_that_rooms_is_away() -> None:
    clock = ManualClock()
    freshness = Freshness(clock, patience=30.0)
    stream = _stream(clock, freshness, ending_delay=5.0)
    clock.jump(60)
    stream.check_access()
    await clock.advance(4)
    stream.check_access()
    assert stream.queue.error is None
    # Heard again, and away again: the delay begins anew.
    freshness.prove(clock.monotonic())
    stream.check_access()
    await clock.advance(30)
    stream.check_access()
    await clock.advance(4)
    stream.check_access()
    assert stream.queue.error is None
    await clock.advance(1)
    stream.check_access()
    assert await _ending(stream) == ([], "SERVICE_UNAVAILABLE")


async def test_a_doubt_is_ended_only_by_an_answer_that_has_seen_it_or_by_time() -> None:
    clock = ManualClock()
    freshness = Freshness(clock, patience=30.0)
    stream = _stream(clock, freshness, ending_delay=5.0)
    reading = _Reading(stream)
    stream.doubt()
    asked = stream.doubts
    stream.doubt()
    stream.push(1, b"a")
    stream.trust((), asked)
    await clock.advance(0)
    assert reading.frames == []
    stream.trust((), stream.doubts)
    await clock.advance(0)
    assert reading.frames == [b"a"]
    stream.doubt()
    for seconds in (20, 14.9, 0.1):
        assert stream.queue.error is None
        await clock.advance(seconds)
        freshness.prove(clock.monotonic())
        stream.check_access()
    assert await reading.task == "SERVICE_UNAVAILABLE"


def test_a_stream_depends_on_the_roles_of_the_last_answer_and_before_it_on_any() -> None:
    stream = _stream(ManualClock())
    reader, writer = (2, "reader"), (2, "writer")
    assert stream.may_depend_on(writer)
    stream.trust((reader,), stream.doubts)
    assert (stream.may_depend_on(reader), stream.may_depend_on(writer)) == (True, False)
