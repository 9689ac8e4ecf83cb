"""Work that grows with what a process holds: how much of it is done in one turn of the event loop."""

import asyncio
from datetime import timedelta

import pytest

from services.runtime.access.cache import AccessCache, Freshness
from services.runtime.access.port import AccessGrant, AccessQuery, RoleAssigned, RoleChanged
from services.runtime.contract.policies import Limits
from services.runtime.identity.tokens import Caller
from services.runtime.ids import UserId
from services.runtime.steps import MOST_AT_ONCE, WAKING, Chores, Leisure, Pace, each, emptied, slices
from services.runtime.streaming.open_streams import Streams
from tests.support.clock import ManualClock
from tests.support.turns import Turns

_MANY = 20 * MOST_AT_ONCE
_ROLE = (1, "default")


async def test_a_pace_lets_others_run_after_so_many() -> None:
    async with Turns() as turns:
        pace = Pace()
        for _ in range(_MANY):
            turns.note()
            await pace.did()
    assert turns.most == MOST_AT_ONCE
    assert turns.noted == _MANY


async def test_long_pieces_of_work_rest_as_long_as_they_work_all_of_them_together() -> None:
    time, rested = 0.0, 0.0

    async def sleep(seconds: float) -> None:
        nonlocal time, rested
        time, rested = time + seconds, rested + seconds
        await asyncio.sleep(0)

    leisure = Leisure(now=lambda: time, sleep=sleep)
    one = leisure.pace(10)
    for number in range(100):
        time += 0.001
        assert await one.did() == (number % 10 == 9)
    assert rested == pytest.approx(0.1)
    other = leisure.pace(10)
    for _ in range(100):
        time += 0.002
        await other.did(10)
    assert rested == pytest.approx(0.3)


async def test_who_works_while_another_rests_rests_for_both() -> None:
    time, rests = 0.0, list[float]()

    async def sleep(seconds: float) -> None:
        rests.append(seconds)

    leisure = Leisure(now=lambda: time, sleep=sleep)
    for time in (1.0, 2.0, 3.0):
        await leisure.rest(time - 1.0)
    assert rests == [1.0, 2.0, 3.0]


async def test_the_first_step_of_a_chore_is_done_at_once_and_the_rest_while_others_run() -> None:
    done: list[int] = []
    async with Turns() as turns:
        chores = Chores()
        running = asyncio.create_task(chores.run())

        def do(number: int) -> None:
            done.append(number)
            turns.note()

        chores.put(each(range(_MANY), do))
        chores.put(each([-1], done.append))
        assert len(done) == MOST_AT_ONCE
        await turns.until(lambda: len(done) > _MANY)
        running.cancel()
    assert done == [*range(_MANY), -1]
    assert turns.most == MOST_AT_ONCE


async def test_a_small_chore_is_done_when_it_was_put() -> None:
    done: list[int] = []
    chores = Chores()
    chores.put(each(range(3), done.append, WAKING))
    assert done == [0, 1, 2]


def test_a_dictionary_is_emptied_piece_by_piece() -> None:
    items = dict.fromkeys(range(1_000))
    chore = emptied(items)
    assert sum(next(chore) for _ in range(10)) == 10
    assert len(items) == 990
    assert sum(chore) == 990
    assert not items


def test_slices_leave_nothing_out() -> None:
    assert [list(part) for part in slices(range(7), 3)] == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(slices([])) == []


class _Full:
    """A cache with very many answers, and the chores that it has put."""

    def __init__(self) -> None:
        clock = ManualClock()
        self.freed = 0
        self.most_freed = 0
        self.cache = AccessCache(clock, Freshness(clock, 30.0), lifetime=300.0, let_go=self._free)
        self.cache.hear(10, 0.0)
        for number in range(_MANY):
            query = _query(number)
            self.cache.keep(query, AccessGrant(10, None, None, (_ROLE,)), self.cache.asking())

    def _free(self, chore: object) -> None:
        for count in chore:  # type: ignore[attr-defined]
            self.most_freed = max(self.most_freed, count)
            self.freed += count


def _query(number: int) -> AccessQuery:
    return AccessQuery("", f"user-{number}", False, 0, "user:get")  # type: ignore[arg-type]


def test_dropping_everything_touches_no_answer_and_frees_them_one_by_one() -> None:
    full = _Full()
    full.cache.reset(11)
    assert len(full.cache) == 0
    # The answers, where they stand by user and by role, and the users and the role.
    assert (full.freed, full.most_freed) == (3 * _MANY + _MANY + 1, 1)


def test_a_role_that_all_have_is_changed_without_a_look_at_any_answer() -> None:
    full = _Full()
    full.cache.take(11, RoleChanged(_ROLE))
    assert len(full.cache) == _MANY
    assert all(full.cache.find(_query(number)) is None for number in range(_MANY))
    # Each went when it was asked for, and an answer that has seen the change may be kept.
    assert len(full.cache) == 0
    full.cache.keep(_query(0), AccessGrant(11, None, None, (_ROLE,)), full.cache.asking())
    assert full.cache.find(_query(0)) is not None
    full.cache.take(12, RoleAssigned(UserId("user-0"), None))
    assert full.cache.find(_query(0)) is None


async def test_streams_whose_key_is_revoked_end_in_steps() -> None:
    clock = ManualClock()
    limits = Limits()
    streams = Streams(limits, clock)
    async with Turns() as turns:
        ended: list[object] = []

        def goodbye(error: object) -> None:
            turns.note()
            ended.append(error)

        open_streams = [
            streams.open(Caller(UserId(f"user-{number}"), False, None, clock.now() + timedelta(days=1)))
            for number in range(1_000)
        ]
        for context in open_streams:
            context.__enter__().on_end(goodbye)
        await streams.end_revoked(lambda _: False)
        assert len(ended) == 1_000
        for context in open_streams:
            context.__exit__(None, None, None)
    assert turns.most <= MOST_AT_ONCE // WAKING
