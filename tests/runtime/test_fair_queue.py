"""Who comes next where users share something: whoever has had least, and never more at once than may be."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from services.runtime.fair_queue import FairQueue, Turn


class Work:
    """Pieces of work that end when the test says so, in a time that the test lets pass."""

    def __init__(self, at_once: int, of_each: int) -> None:
        self.time = 0.0
        self.queue = FairQueue(at_once, of_each=of_each, now=lambda: self.time)
        # Who was let in, in order.
        self.let_in: list[str] = []
        self.most = 0
        self.most_of_each: Counter[str] = Counter()
        self._running: dict[int, tuple[str, asyncio.Event]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def comes(self, user_id: str) -> asyncio.Task[None]:
        """Let a user ask."""
        task = asyncio.create_task(self._do(user_id))
        self._tasks.add(task)
        return task

    async def _do(self, user_id: str) -> None:
        async with self.queue.turn(user_id):
            number, ends = len(self.let_in), asyncio.Event()
            self.let_in.append(user_id)
            self._running[number] = user_id, ends
            of_user = Counter(user for user, _ in self._running.values())
            self.most, self.most_of_each = max(self.most, len(self._running)), self.most_of_each | of_user
            try:
                await ends.wait()
            finally:
                del self._running[number]

    async def settle(self) -> None:
        """Let everybody come as far as they can."""
        for _ in range(5):
            await asyncio.sleep(0)

    async def end_one(self, seconds: float = 1.0) -> str:
        """Let time pass, and end the oldest piece; return whose it was."""
        self.time += seconds
        user_id, ends = next(iter(self._running.values()))
        ends.set()
        await self.settle()
        return user_id

    @property
    def running(self) -> list[str]:
        """Whose work goes on."""
        return [user for user, _ in self._running.values()]

    async def stop(self) -> None:
        """Give everything up."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def _work(at_once: int, of_each: int) -> AsyncIterator[Work]:
    work = Work(at_once, of_each)
    try:
        yield work
    finally:
        await work.stop()


async def test_a_user_with_much_to_do_waits_behind_themselves_and_nobody_else_does() -> None:
    async with _work(2, 1) as work:
        for _ in range(40):
            work.comes("mallory")
        await work.settle()
        assert work.running == ["mallory"]
        work.comes("alice")
        await work.settle()
        assert work.running == ["mallory", "alice"]


async def test_who_comes_now_and_then_is_before_those_who_ask_again_and_again() -> None:
    crowd = [f"m{number}" for number in range(20)]
    async with _work(1, 1) as work:
        for user in crowd * 3:
            work.comes(user)
        await work.settle()
        for _ in crowd:
            await work.end_one()
        # All of them have had something, and ask for more.
        work.comes("alice")
        await work.settle()
        await work.end_one()
        assert work.running == ["alice"]


async def test_those_who_ask_for_long_work_get_their_turn_less_often() -> None:
    async with _work(1, 1) as work:
        for _ in range(50):
            work.comes("long")
            work.comes("short")
        await work.settle()
        for _ in range(50):
            await work.end_one(9.0 if work.running == ["long"] else 1.0)
        counted = Counter(work.let_in)
        assert counted["short"] / counted["long"] == pytest.approx(9, rel=0.3)


async def test_what_is_free_is_used_by_whoever_is_there() -> None:
    async with _work(4, 4) as work:
        for _ in range(10):
            work.comes("alice")
        await work.settle()
        assert work.running == ["alice"] * 4
        work.comes("bob")
        await work.settle()
        await work.end_one()
        assert work.running == ["alice"] * 3 + ["bob"]


@pytest.mark.parametrize("seed", range(20))
async def test_nothing_is_lost_whatever_is_given_up(seed: int) -> None:
    chance = random.Random(seed)
    at_once, of_each = chance.randint(1, 4), chance.randint(1, 4)
    async with _work(at_once, of_each) as work:
        coming = [work.comes(chance.choice("abcdef")) for _ in range(100)]
        for task in coming:
            if chance.random() < 0.3:
                task.cancel()
            if chance.random() < 0.2:
                await asyncio.sleep(0)
            if chance.random() < 0.5 and work.running:
                await work.end_one(chance.random())
        await work.settle()
        while work.running:
            await work.end_one(chance.random())
        assert all(task.done() for task in coming)
        assert work.most <= at_once
        assert max(work.most_of_each.values()) <= of_each
        # As at the beginning.
        for user in "abcd":
            work.comes(user)
        await work.settle()
        assert work.running == list("abcd")[:at_once]


async def test_of_very_many_users_only_those_with_work_are_remembered() -> None:
    queue = FairQueue(2, of_each=1)
    async with queue.turn("always there"):
        for number in range(5_000):
            async with queue.turn(f"u{number}"):
                pass
        assert len(queue._users) <= 1_001


class _Asked:
    """A queue whose turns are asked for and given back one by one, each after a time that the test tells."""

    def __init__(self, at_once: int, of_each: int) -> None:
        self.time = 0.0
        self.queue = FairQueue(at_once, of_each=of_each, now=lambda: self.time)

    def does(self, user_id: str, seconds: float) -> float:
        """Let a user whose turn comes at once work, and return how long that was expected to take."""
        turn = self.queue.ask(user_id)
        self.ends(turn, seconds)
        return turn.came.result()

    def ends(self, turn: Turn, seconds: float) -> None:
        """End work after so many seconds."""
        self.time += seconds
        turn.give_back()


async def test_those_who_are_equal_come_in_the_order_in_which_they_asked() -> None:
    asked = _Asked(1, 1)
    turns = [asked.queue.ask(user) for user in ("first", "zoe", "mia", "adam")]
    for place, turn in enumerate(turns, 1):
        assert [one.came.done() for one in turns] == [True] * place + [False] * (4 - place)
        asked.ends(turn, 0.0)


async def test_who_has_had_something_comes_after_who_has_had_nothing() -> None:
    asked = _Asked(2, 1)
    asked.queue.ask("always there")
    asked.does("alice", 0.5)
    carol = asked.queue.ask("carol")
    alice, bob = asked.queue.ask("alice"), asked.queue.ask("bob")
    asked.ends(carol, 0.0)
    assert (alice.came.done(), bob.came.done()) == (False, True)


async def test_when_nobody_works_it_is_forgotten_what_users_have_had() -> None:
    asked = _Asked(1, 1)
    asked.does("alice", 10.0)
    carol = asked.queue.ask("carol")
    alice, bob = asked.queue.ask("alice"), asked.queue.ask("bob")
    asked.ends(carol, 0.0)
    assert (alice.came.done(), bob.came.done()) == (True, False)


async def test_who_was_away_does_not_have_what_others_had_meanwhile() -> None:
    async with _work(1, 1) as work:
        for user in ["alice", "bob"] * 20:
            work.comes(user)
        await work.settle()
        for _ in range(20):
            await work.end_one()
        for _ in range(10):
            work.comes("carol")
        await work.settle()
        for _ in range(9):
            await work.end_one()
        assert Counter(work.let_in[-9:]) == {"alice": 3, "bob": 3, "carol": 3}


async def test_work_is_expected_to_take_what_it_took_lately() -> None:
    asked = _Asked(1, 1)
    expected = [asked.does("alice", seconds) for seconds in (10.0, 1.0, 11.0, 0.0)]
    assert expected == pytest.approx([0.0, 1.0, 1.0, 2.0])


async def test_whoever_waits_has_all_that_becomes_free_for_them() -> None:
    asked = _Asked(2, 2)
    held = [asked.queue.ask("bob") for _ in range(2)]
    turns = [asked.queue.ask("alice") for _ in range(2)]
    for turn in held:
        asked.ends(turn, 1.0)
    assert all(turn.came.done() for turn in turns)


async def test_a_turn_that_was_given_up_while_it_was_waited_for_frees_nothing() -> None:
    asked = _Asked(1, 1)
    held, given_up = asked.queue.ask("alice"), asked.queue.ask("bob")
    for _ in range(2):
        given_up.give_back()
    carol = asked.queue.ask("carol")
    assert not carol.came.done()
    held.give_back()
    assert carol.came.done()
