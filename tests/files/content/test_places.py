"""Places: who gets one when none is left, and how long whoever has one may keep others waiting."""

import asyncio
from collections import Counter
from contextlib import ExitStack
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.files.content.places import Bounds, Place, Places
from services.runtime.contract.errors import ChatkitError, DeadlineExceeded, ResourceExhausted, Unavailable
from tests.support.clock import ManualClock
from tests.support.eventually import HANG_SECONDS

_ALICE, _BOB = UUID(int=1), UUID(int=2)
_PATIENCE, _PACE = 30, 1_000


def _places(clock: ManualClock, most: int = 9, most_of_key: int = 9) -> Places:
    return Places(
        "uploads",
        clock,
        Bounds(most, most_of_key, _PATIENCE, _PACE),
        lambda most: ResourceExhausted("QUOTA_EXCEEDED", f"{most}"),
    )


class _Transfer:
    """Something that takes a place, and waits for as many bytes at a time as it is told have come."""

    def __init__(self, places: Places, key: UUID = _ALICE) -> None:
        self.came: asyncio.Queue[int] = asyncio.Queue()
        self.is_idle = False
        self.place: Place | None = None
        self.done = asyncio.create_task(self._run(places, key))

    async def _run(self, places: Places, key: UUID) -> None:
        with places.held(key) as self.place:
            while True:
                with self.place.waiting():
                    size = await self.came.get()
                if not size:
                    return
                self.place.moved(size)


async def _ended(transfer: _Transfer) -> ChatkitError:
    with pytest.raises(ChatkitError) as caught:
        async with asyncio.timeout(HANG_SECONDS):
            await transfer.done
    return caught.value


async def _advance(clock: ManualClock, seconds: int) -> None:
    """Move the clock as time passes, and not in one leap, which would be the process's own standstill."""
    for _ in range(seconds):
        await clock.advance(1)


@pytest.fixture
async def clock() -> ManualClock:
    """Return a clock that stands still."""
    return ManualClock()


async def test_a_byte_now_and_then_buys_no_time_and_the_pace_buys_all_of_it(clock: ManualClock) -> None:
    places = _places(clock)
    async with asyncio.TaskGroup() as group:
        ticking = group.create_task(places.run())
        silent, slow, honest = _Transfer(places), _Transfer(places), _Transfer(places)
        await clock.advance(0)
        for _ in range(_PATIENCE // 3):
            assert not slow.done.done()
            assert not silent.done.done()
            await _advance(clock, 3)
            slow.came.put_nowait(1)
            honest.came.put_nowait(3 * _PACE)
        await _advance(clock, 3)
        for ended in (slow, silent):
            error = await _ended(ended)
            assert isinstance(error, DeadlineExceeded)
            assert error.message.startswith("the content must move at 1000 bytes per second or more")
            assert error.metadata == {"limit": "TRANSFER_BYTES_PER_SECOND", "minimum": "1000"}
        for _ in range(_PATIENCE):
            await _advance(clock, 3)
            honest.came.put_nowait(3 * _PACE)
        honest.came.put_nowait(0)
        await honest.done
        assert places.count == 0
        ticking.cancel()


async def test_a_fast_beginning_buys_no_more_than_the_patience(clock: ManualClock) -> None:
    places = _places(clock)
    async with asyncio.TaskGroup() as group:
        ticking = group.create_task(places.run())
        transfer = _Transfer(places)
        transfer.came.put_nowait(1_000 * _PACE)
        await clock.advance(0)
        await _advance(clock, _PATIENCE)
        assert isinstance(await _ended(transfer), DeadlineExceeded)
        ticking.cancel()


async def test_the_time_in_which_nobody_waits_and_the_process_stands_still_is_nobodys(clock: ManualClock) -> None:
    places = _places(clock)
    async with asyncio.TaskGroup() as group:
        ticking = group.create_task(places.run())
        with places.held(_ALICE) as place:
            await _advance(clock, 10 * _PATIENCE)
            for _ in range(_PATIENCE - 2):
                with place.waiting():
                    clock.jump(100)
            await _advance(clock, 10)
            place.check()
        ticking.cancel()


@given(most=st.integers(1, 9), most_of_key=st.integers(1, 5), asked=st.lists(st.integers(0, 5), max_size=60))
def test_whoever_is_refused_has_at_most_one_place_fewer_than_anybody(
    most: int, most_of_key: int, asked: list[int]
) -> None:
    places = _places(ManualClock(), most, most_of_key)
    with ExitStack() as held:
        taken: list[Place] = []
        for number in asked:
            key = UUID(int=number)
            have = Counter(place.key for place in taken if place.error is None)
            try:
                taken.append(held.enter_context(places.held(key)))
            except ResourceExhausted:
                assert have[key] == most_of_key
            except Unavailable:
                assert have.total() == most
                assert max(have.values()) <= have[key] + 1
            now = [place for place in taken if place.error is None]
            assert places.count == len(now) <= most
            for place in taken:
                if place.error is not None and place.key in have:
                    assert place.error.reason == "OVERLOADED"
    assert places.count == 0


async def test_the_newest_of_the_one_who_has_most_is_ended_where_it_waits(clock: ManualClock) -> None:
    places = _places(clock, most=3)
    first, second, newest = (_Transfer(places) for _ in range(3))
    await clock.advance(0)
    bob = _Transfer(places, _BOB)
    error = await _ended(newest)
    assert (error.reason, places.count) == ("OVERLOADED", 3)
    for transfer in (first, second, bob):
        transfer.came.put_nowait(0)
        await transfer.done
    assert places.count == 0


async def test_what_does_not_wait_is_let_come_to_its_end_or_to_its_next_wait(clock: ManualClock) -> None:
    places = _places(clock, most=2)
    with places.held(_ALICE), places.held(_ALICE) as newest, places.held(_BOB):
        assert places.count == 2
        with pytest.raises(Unavailable), newest.waiting():
            raise AssertionError("nobody waits")
    assert places.count == 0


async def test_a_cancellation_by_somebody_else_stays_one(clock: ManualClock) -> None:
    places = _places(clock, most=2)
    transfer, other = _Transfer(places), _Transfer(places)
    await clock.advance(0)
    transfer.done.cancel()
    await asyncio.wait({transfer.done})
    assert transfer.done.cancelled()
    assert places.count == 1
    # Also where both come at once.
    assert other.place is not None
    other.place.end(Unavailable("OVERLOADED", "x"))
    other.done.cancel()
    await asyncio.wait({other.done})
    assert other.done.cancelled()
    assert places.count == 0
