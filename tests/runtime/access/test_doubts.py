"""A doubt ends by an answer that has seen it; streams in doubt are asked about, so many at once, until one can tell."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from services.runtime.access.doubts import Doubt, DoubtQueue
from services.runtime.contract.errors import ChatkitError, unavailable_peer
from tests.support.clock import ManualClock

_PAUSE = 0.5
_READER, _WRITER = (2, "reader"), (2, "writer")


class _Asking:
    """The owner of streams with names: what it was asked, and what it answers."""

    def __init__(self, asked_at_once: int = 2) -> None:
        self.clock = ManualClock()
        self.queue: DoubtQueue[str] = DoubtQueue(
            self._ask, self.clock, asked_at_once=asked_at_once, retry_interval=_PAUSE
        )
        self.asked: list[str] = []
        # Streams about which nobody can tell, and those about which there is no answer yet.
        self.failing: dict[str, Exception] = {}
        self.held: dict[str, asyncio.Event] = {}

    async def _ask(self, stream: str) -> None:
        self.asked.append(stream)
        if stream in self.held:
            await self.held[stream].wait()
        if stream in self.failing:
            raise self.failing[stream]

    def put(self, *streams: str) -> None:
        for stream in streams:
            self.queue.put(stream)

    def hold(self, *streams: str) -> None:
        self.held |= {stream: asyncio.Event() for stream in streams}

    async def settle(self, seconds: float = 0.0) -> list[str]:
        """Let time pass and everybody get as far as they can; return what was asked meanwhile."""
        before = len(self.asked)
        await self.clock.advance(seconds)
        return self.asked[before:]


@asynccontextmanager
async def _running(asking: _Asking) -> AsyncIterator[None]:
    task = asyncio.create_task(asking.queue.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_stream_that_came_into_doubt_many_times_is_asked_about_once() -> None:
    asking = _Asking()
    asking.put("a", "b", "a", "a")
    async with _running(asking):
        assert await asking.settle() == ["a", "b"]
        asking.put("a")
        assert await asking.settle() == ["a"]


async def test_a_doubt_that_comes_while_a_stream_is_asked_about_has_an_answer_of_its_own() -> None:
    asking = _Asking(asked_at_once=1)
    asking.hold("a")
    async with _running(asking):
        asking.put("a")
        assert await asking.settle() == ["a"]
        asking.put("a", "a")
        asking.held["a"].set()
        assert await asking.settle() == ["a"]


async def test_so_many_are_asked_about_at_once_and_no_more() -> None:
    asking = _Asking(asked_at_once=2)
    asking.hold("a", "b", "c", "d")
    async with _running(asking):
        asking.put("a", "b", "c", "d")
        assert await asking.settle() == ["a", "b"]
        asking.held["b"].set()
        assert await asking.settle() == ["c"]


async def test_what_nobody_can_tell_is_asked_again_after_a_pause_until_somebody_can() -> None:
    asking = _Asking(asked_at_once=1)
    asking.failing["a"] = unavailable_peer("rooms")
    async with _running(asking):
        asking.put("a")
        assert await asking.settle() == ["a"]
        for _ in range(3):
            assert await asking.settle(_PAUSE / 2) == []
            assert await asking.settle(_PAUSE / 2) == ["a"]
        del asking.failing["a"]
        assert await asking.settle(_PAUSE) == ["a"]
        assert await asking.settle(10 * _PAUSE) == []


async def test_a_peer_that_is_away_is_asked_no_more_often_than_the_tasks_pause() -> None:
    asking = _Asking(asked_at_once=2)
    streams = [str(number) for number in range(10)]
    asking.failing = dict.fromkeys(streams, unavailable_peer("rooms"))
    async with _running(asking):
        asking.put(*streams)
        for _ in range(4):
            assert len(await asking.settle(_PAUSE)) == 2
        # In turn, so that none is asked about twice before the others.
        assert asking.asked == streams[:8]
        asking.failing.clear()
        assert sorted(await asking.settle(_PAUSE)) == streams


async def test_what_is_no_answer_of_a_peer_ends_the_queue() -> None:
    asking = _Asking()
    asking.failing["a"] = ValueError("a mistake of ours")
    asking.put("a")
    with pytest.raises(ExceptionGroup) as raised:
        await asking.queue.run()
    assert not raised.group_contains(ChatkitError)


async def test_a_doubt_ends_only_by_an_answer_that_has_seen_it() -> None:
    clock = ManualClock()
    doubt = Doubt(clock)
    assert doubt.is_settled
    doubt.rise()
    asked = doubt.count
    await clock.advance(3)
    doubt.rise()
    assert not doubt.settle((_READER,), asked)
    assert not doubt.is_settled
    # It has lasted since the first of them.
    await clock.advance(2)
    assert (doubt.has_lasted(5), doubt.has_lasted(5.1)) == (True, False)
    assert doubt.settle((_READER,), doubt.count)
    assert (doubt.is_settled, doubt.has_lasted(0)) == (True, False)


def test_access_may_depend_on_the_roles_of_the_last_answer_and_before_it_on_any() -> None:
    doubt = Doubt(ManualClock())
    assert doubt.may_depend_on(_WRITER)
    doubt.settle((_READER,), doubt.count)
    assert (doubt.may_depend_on(_READER), doubt.may_depend_on(_WRITER)) == (True, False)
    doubt.rise()
    doubt.settle((_WRITER,), doubt.count - 1)
    assert (doubt.may_depend_on(_READER), doubt.may_depend_on(_WRITER)) == (True, False)
