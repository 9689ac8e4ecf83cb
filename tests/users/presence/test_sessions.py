"""How streams become sessions: what piles up, what fails, and what a lapse of the lease does. The store is a dict."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import pytest

from services.runtime.contract.errors import Aborted, NotFound, Unavailable
from services.users.presence.sessions import Sessions
from services.users.presence.store import LeaseLostError
from tests.support.clock import ManualClock
from tests.support.eventually import HANG_SECONDS, eventually
from tests.support.peers import user_uid_of as uid_of

_AWAY = Unavailable("DATABASE_UNAVAILABLE", "the database can't be reached")


class _Store:
    """Sessions under one lease; a test takes the lease away, or lets calls fail or wait."""

    def __init__(self) -> None:
        self.sessions: set[UUID] = set()
        self.unknown: set[UUID] = set()
        self.batches: list[tuple[int, int]] = []
        self.failures: list[Exception] = []
        self.is_held = False
        self.may_write = asyncio.Event()
        self.may_write.set()
        # Called when a batch is on disk and its answer on the way.
        self.written: Callable[[], None] = lambda: None
        self.writing = 0
        self._held_since = datetime(2026, 1, 1, tzinfo=UTC)

    async def renew(self) -> datetime:
        if not self.is_held:
            self.is_held = True
            self._held_since += timedelta(minutes=1)
        return self._held_since

    async def apply(self, entered: Sequence[UUID], left: Sequence[UUID]) -> tuple[set[UUID], bool]:
        self.writing += 1
        await self.may_write.wait()
        if self.failures:
            raise self.failures.pop(0)
        if not self.is_held:
            raise LeaseLostError
        self.batches.append((len(entered), len(left)))
        self.sessions |= set(entered) - self.unknown
        self.sessions -= set(left)
        self.written()
        return set(entered) - self.unknown, True

    async def release(self) -> None:
        self.is_held = False

    async def reap_leases(self) -> int:
        return 0

    async def reap_leavers(self) -> tuple[int, int]:
        return 0, 0

    def lose(self) -> None:
        """Take the lease away, and the sessions under it."""
        self.is_held = False
        self.sessions.clear()


class _World:
    def __init__(self) -> None:
        self.store = _Store()
        self.clock = ManualClock()
        self.sessions = Sessions(
            cast("Any", self.store),
            self.clock,
            renewal_interval=1.0,
            reaping_interval=1.0,
            retry_interval=0.5,
            changed=lambda: None,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.sessions.run())
        try:
            async with asyncio.timeout(HANG_SECONDS):
                yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def world() -> _World:
    """Lend a replica whose store is a dict."""
    return _World()


async def _passing(world: _World, condition: Callable[[], object]) -> None:
    """Let time pass until a condition holds."""
    while not condition():
        await world.clock.advance(0.5)


async def _stay(world: _World, user_id: str, until: asyncio.Event, entered: list[str]) -> None:
    async with world.sessions.online(uid_of(user_id), user_id):
        entered.append(user_id)
        await until.wait()


async def test_a_stream_is_open_when_its_session_is_on_disk_and_the_last_one_ends_it(world: _World) -> None:
    async with world.running():
        async with world.sessions.online(uid_of("ann"), "ann"):
            assert world.store.sessions == {uid_of("ann")}
            async with world.sessions.online(uid_of("ann"), "ann"):
                pass
            await asyncio.sleep(0)
            assert world.store.batches == [(1, 0)]
        await eventually(lambda: not world.store.sessions)
    assert world.store.batches == [(1, 0), (0, 1)]
    assert world.sessions.count == 0


async def test_what_piles_up_shares_a_transaction(world: _World) -> None:
    over, entered = asyncio.Event(), list[str]()
    async with world.running(), asyncio.TaskGroup() as group:
        world.store.may_write.clear()
        for number in range(1_201):
            group.create_task(_stay(world, f"u{number}", over, entered))
        await eventually(lambda: world.sessions.count == 1_201 and world.store.writing == 1)
        assert not entered
        world.store.may_write.set()
        await eventually(lambda: len(entered) == 1_201)
        assert len(world.store.batches) <= 4
        over.set()
        await eventually(lambda: not world.store.sessions)
    assert len(world.store.batches) <= 8
    assert world.sessions.count == 0


async def test_who_comes_back_before_the_end_is_written_waits_for_a_session(world: _World) -> None:
    async with world.running():
        async with world.sessions.online(uid_of("ann"), "ann"):
            pass
        world.store.may_write.clear()
        await eventually(lambda: world.store.writing == 2)
        over, entered = asyncio.Event(), list[str]()
        async with asyncio.TaskGroup() as group:
            group.create_task(_stay(world, "ann", over, entered))
            await eventually(lambda: world.sessions.count == 1)
            assert not entered
            world.store.may_write.set()
            await eventually(lambda: entered)
            assert world.store.sessions == {uid_of("ann")}
            over.set()


async def test_flaps_that_pile_up_are_not_written(world: _World) -> None:
    async with world.running():
        ann = AsyncExitStack()
        await ann.enter_async_context(world.sessions.online(uid_of("ann"), "ann"))
        world.store.may_write.clear()
        over, entered = asyncio.Event(), list[str]()
        async with asyncio.TaskGroup() as group:
            group.create_task(_stay(world, "bob", over, entered))
            await eventually(lambda: world.store.writing == 2)
            for _ in range(20):
                await ann.aclose()
                await ann.enter_async_context(world.sessions.online(uid_of("ann"), "ann"))
            world.store.may_write.set()
            await eventually(lambda: entered)
            over.set()
        await eventually(lambda: world.store.sessions == {uid_of("ann")})
        assert world.store.batches == [(1, 0), (1, 0), (0, 1)]
        await ann.aclose()


async def test_without_the_database_streams_are_refused_and_ends_are_written_when_it_is_back(world: _World) -> None:
    async with world.running():
        async with world.sessions.online(uid_of("ann"), "ann"):
            world.store.failures = [_AWAY]
            with pytest.raises(Unavailable):
                async with world.sessions.online(uid_of("bob"), "bob"):
                    pass
            world.store.failures = [_AWAY]
        await _passing(world, lambda: world.sessions.count == 0)
        assert world.store.sessions == set()


async def test_a_lost_race_is_run_again_and_nobody_is_refused(world: _World) -> None:
    async with world.running(), asyncio.TaskGroup() as group:
        world.store.failures = [Aborted("CONTENTION", "again")]
        over, entered = asyncio.Event(), list[str]()
        group.create_task(_stay(world, "ann", over, entered))
        await _passing(world, lambda: entered)
        over.set()


async def test_a_user_who_is_gone_by_then_is_not_found(world: _World) -> None:
    world.store.unknown = {uid_of("ann")}
    async with world.running():
        with pytest.raises(NotFound) as refusal:
            async with world.sessions.online(uid_of("ann"), "ann"):
                pass
        assert (refusal.value.reason, refusal.value.metadata) == ("USER_NOT_FOUND", {"user_ids": '["ann"]'})
        await eventually(lambda: world.sessions.count == 0)


async def test_a_replica_whose_lease_was_taken_away_asserts_every_session_anew(world: _World) -> None:
    async with world.running(), AsyncExitStack() as stack:
        for user_id in ("ann", "bob"):
            await stack.enter_async_context(world.sessions.online(uid_of(user_id), user_id))
        assert (world.sessions.count, world.sessions.lapses) == (2, 0)
        world.store.lose()
        await _passing(world, lambda: world.store.sessions == {uid_of("ann"), uid_of("bob")})
        assert (world.sessions.lapses, world.sessions.unwritten) == (1, 0)


async def test_a_lease_grows_old_until_it_is_renewed(world: _World) -> None:
    world.clock.jump(3)
    assert (world.sessions.lease_age, world.sessions.renewals) == (3, 0)
    await world.sessions.renew()
    assert (world.sessions.lease_age, world.sessions.renewals) == (0, 1)


async def test_whoever_comes_first_after_a_lapse_notices_it(world: _World) -> None:
    async with world.running(), world.sessions.online(uid_of("ann"), "ann"):
        world.store.lose()
        async with world.sessions.online(uid_of("bob"), "bob"):
            await eventually(lambda: world.store.sessions == {uid_of("ann"), uid_of("bob")})


async def test_a_lapse_that_is_noticed_before_the_answer_of_a_batch_counts(world: _World) -> None:
    """The process stood still while the answer was on its way, and the session is gone by now."""
    async with world.running():
        await world.sessions.renew()
        world.store.written = world.store.lose
        renewals: list[asyncio.Task[None]] = []

        async def answered_late() -> None:
            world.store.written = lambda: None
            await world.sessions.renew()

        apply = world.store.apply

        async def late(entered: Sequence[UUID], left: Sequence[UUID]) -> tuple[set[UUID], bool]:
            answer = await apply(entered, left)
            if not renewals:
                renewals.append(asyncio.create_task(answered_late()))
                await renewals[0]
            return answer

        world.store.apply = late  # type: ignore[method-assign]
        async with world.sessions.online(uid_of("ann"), "ann"):
            assert world.store.sessions == {uid_of("ann")}


async def test_the_end_of_the_process_ends_what_is_still_there(world: _World) -> None:
    stack = AsyncExitStack()
    async with world.running():
        await stack.enter_async_context(world.sessions.online(uid_of("ann"), "ann"))
        assert world.store.sessions
    assert not world.store.sessions
    assert not world.store.is_held
    assert world.store.batches[-1] == (0, 1)
