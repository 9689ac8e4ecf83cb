"""A subscriber's queue: bounded by bytes and by time, drained in frames, ended by its token."""

import asyncio
from datetime import timedelta
from uuid import uuid4

from chatkit.contract.v1 import method_policy_pb2

from services.messages.subscription import FRAME_BYTES, Subscription
from services.runtime.access import AccessQuery, RoomGrant
from services.runtime.errors import ChatkitError, Unavailable
from services.runtime.identity import Caller
from tests.support.clock import ManualClock


def _subscription(clock: ManualClock) -> Subscription:
    query = AccessQuery("lobby", "bob", False, method_policy_pb2.MEMBERSHIP_REQUIRED, "")
    caller = Caller("bob", superuser=False, service=None, expire_time=clock.now() + timedelta(hours=1))
    opened = Subscription(RoomGrant(uuid4(), uuid4(), 1), query, caller, clock)
    opened.open(0, [])
    return opened


async def _ending(subscription: Subscription) -> tuple[list[bytes], str]:
    frames = []
    try:
        async with asyncio.timeout(10):
            async for frame in subscription.frames():
                frames.append(frame)  # noqa: PERF401 - it ends by raising
    except ChatkitError as ending:
        return frames, ending.reason
    raise AssertionError


async def test_what_has_piled_up_goes_in_frames_that_are_not_too_large() -> None:
    subscription = _subscription(ManualClock())
    for seq in range(1, 101):
        subscription.push(seq, b"x" * 3_000)
    subscription.push(101, b"y" * 100_000)
    subscription.end(Unavailable("SHUTTING_DOWN", ""))
    frames, reason = await _ending(subscription)
    assert [len(frame) for frame in frames] == [63_000] * 4 + [48_000, 100_000]
    assert all(len(frame) <= FRAME_BYTES for frame in frames[:-1])
    assert (reason, subscription.sent_seq) == ("SHUTTING_DOWN", 101)


async def test_too_many_bytes_waiting_drop_them_and_end_the_stream() -> None:
    subscription = _subscription(ManualClock())
    for seq in range(1, 400):
        subscription.push(seq, b"x" * 5_000)
    assert await _ending(subscription) == ([], "SLOW_CONSUMER")
    assert subscription.sent_seq == 0


async def test_twenty_seconds_without_progress_end_the_stream() -> None:
    clock = ManualClock()
    subscription = _subscription(clock)
    await clock.advance(100)
    subscription.check_progress()
    assert subscription.error is None
    subscription.push(1, b"x")
    await clock.advance(20)
    subscription.check_progress()
    assert subscription.error is None
    await clock.advance(0.5)
    subscription.check_progress()
    assert await _ending(subscription) == ([], "SLOW_CONSUMER")


async def test_nothing_is_sent_once_the_token_has_expired() -> None:
    clock = ManualClock()
    subscription = _subscription(clock)
    subscription.push(1, b"x")
    await clock.advance(3600)
    assert await _ending(subscription) == ([], "TOKEN_EXPIRED")
