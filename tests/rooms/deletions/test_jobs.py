"""Deletions as jobs: seen through whatever fails or ends meanwhile, by whoever is there, and forgotten in the end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from services.rooms.tables import deletion_tables
from services.runtime.clock import SystemClock
from services.runtime.contract.errors import Unavailable, unavailable_peer
from services.runtime.data.database import Database, create_engine
from services.runtime.deadline import NEVER, Deadline
from services.runtime.erasure.deletions import LEASE, Deletions
from services.runtime.erasure.model import Deletion, DeletionId, DeletionState
from services.runtime.erasure.store import DeletionStore
from services.runtime.ids import RoomUid
from tests.support.databases import TestDatabase
from tests.support.eventually import eventually, until

_SERVICES = ("rooms", "messages", "files")


class _Service:
    """A service that has so many steps' worth of a subject, and may be away."""

    def __init__(self, steps: int = 1) -> None:
        self.steps = steps
        self.is_away = False
        self.asked: list[UUID] = []

    async def erase(self, deletion: Deletion, _deadline: Deadline) -> bool:
        """Do a step."""
        self.asked.append(deletion.subject_uid)
        if self.is_away:
            raise unavailable_peer("one")
        self.steps -= 1
        return self.steps <= 0


class _Jobs:
    """The deletions of rooms on a real database, with two services that are asked."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.store = DeletionStore(database, deletion_tables, _SERVICES)
        self.messages, self.files = _Service(), _Service()
        erasers = {"messages": self.messages.erase, "files": self.files.erase}
        self.deletions = Deletions(self.store, erasers, SystemClock(), interval=0.01)

    async def begin(self, subject_id: str = "lobby", lease: timedelta = LEASE) -> DeletionId:
        """Begin a deletion of which rooms has done its part."""
        async with self.database.transaction() as connection:
            return await self.store.begin(connection, RoomUid(uuid4()), subject_id, done=["rooms"], lease=lease)

    def states(self, deletion: Deletion) -> dict[str, DeletionState]:
        """Return how far a deletion is in each service."""
        return {part.service: part.state for part in deletion.services}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work in the background."""
        task = asyncio.create_task(self.deletions.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def until_done(self, deletion_id: DeletionId) -> Deletion:
        """Wait until a deletion is done."""

        async def is_done() -> bool:
            return (await self.deletions.get(deletion_id)).state is DeletionState.DONE

        await until(is_done)
        return await self.deletions.get(deletion_id)


@pytest.fixture
async def jobs(database: TestDatabase) -> AsyncIterator[_Jobs]:
    """Open the database."""
    connections = Database(create_engine(database.dsn("rooms"), connections=4))
    yield _Jobs(connections)
    await connections.close()


async def test_a_small_one_is_done_when_the_call_returns_and_its_subject_forgotten(jobs: _Jobs) -> None:
    deletion_id = await jobs.begin()
    running = await jobs.deletions.get(deletion_id)
    assert (running.state, running.subject_id) == (DeletionState.RUNNING, "lobby")
    assert jobs.states(running) == {
        "files": DeletionState.RUNNING,
        "messages": DeletionState.RUNNING,
        "rooms": DeletionState.DONE,
    }
    done = await jobs.deletions.see_through(deletion_id, NEVER)
    assert (done.state, done.subject_id) == (DeletionState.DONE, "")
    assert set(jobs.states(done).values()) == {DeletionState.DONE}
    assert jobs.messages.asked == jobs.files.asked == [running.subject_uid]
    # Nobody is asked again.
    assert await jobs.deletions.see_through(deletion_id, NEVER) == done
    assert len(jobs.messages.asked) == 1


async def test_what_waits_and_what_is_put_off_is_counted(jobs: _Jobs) -> None:
    jobs.files.is_away = True
    deletion_id = await jobs.begin(lease=timedelta(0))
    async with jobs.running():
        await eventually(lambda: jobs.deletions.put_off)
        jobs.files.is_away = False
        await jobs.until_done(deletion_id)
        await eventually(lambda: jobs.deletions.rounds.done)
    backlog = await jobs.store.backlog()
    assert (backlog.count, backlog.oldest_seconds) == (0, 0)
    await jobs.begin("yard")
    await jobs.begin("attic")
    backlog = await jobs.store.backlog()
    assert backlog.count == 2
    assert 0 < backlog.oldest_seconds < 60


async def test_a_long_one_goes_on_in_the_background(jobs: _Jobs) -> None:
    jobs.messages.steps = 1_000_000
    deletion_id = await jobs.begin()
    some = await jobs.deletions.see_through(deletion_id, Deadline.after(0.05))
    assert some.state is DeletionState.RUNNING
    assert (jobs.states(some)["messages"], jobs.states(some)["files"]) == (DeletionState.RUNNING, DeletionState.DONE)
    jobs.messages.steps = 3
    async with jobs.running():
        await jobs.until_done(deletion_id)
    assert jobs.messages.steps <= 0


async def test_a_service_that_is_away_is_told_of_and_waited_for(jobs: _Jobs) -> None:
    jobs.files.is_away = True
    deletion_id = await jobs.begin()
    with pytest.raises(Unavailable, match="one"):
        await jobs.deletions.see_through(deletion_id, NEVER)
    waiting = await jobs.deletions.get(deletion_id)
    assert (jobs.states(waiting)["messages"], jobs.states(waiting)["files"]) == (
        DeletionState.DONE,
        DeletionState.RUNNING,
    )
    async with jobs.running():
        await eventually(lambda: len(jobs.files.asked) >= 3)
        jobs.files.is_away = False
        await jobs.until_done(deletion_id)
    # Who was done is left alone.
    assert len(jobs.messages.asked) == 1


async def test_one_whose_process_has_ended_is_taken_over_when_its_lease_is_over(
    jobs: _Jobs, database: TestDatabase
) -> None:
    deletion_id = await jobs.begin()
    assert await jobs.store.claim(LEASE, 10) == []
    with psycopg.connect(database.superuser_dsn) as connection:
        connection.execute("UPDATE rooms.deletions SET claim_time = claim_time - %s", (LEASE,))
    async with jobs.running():
        await jobs.until_done(deletion_id)


async def test_of_two_that_look_one_gets_it(jobs: _Jobs) -> None:
    begun = {await jobs.begin(f"{number}", timedelta(0)) for number in range(6)}
    claims = await asyncio.gather(*(jobs.store.claim(LEASE, 4) for _ in range(3)))
    claimed = [deletion_id for some in claims for deletion_id in some]
    assert len(claimed) == len(set(claimed))
    while more := await jobs.store.claim(LEASE, 4):
        claimed += more
    assert set(claimed) == begun


async def test_what_it_was_of_is_known_for_a_day_after_it_was_done(jobs: _Jobs, database: TestDatabase) -> None:
    old, running = await jobs.begin("old"), await jobs.begin("running")
    await jobs.deletions.see_through(old, NEVER)
    assert (await jobs.deletions.of_subject("old")) == await jobs.deletions.get(old)
    assert await jobs.deletions.of_subject("other") is None
    await jobs.store.forget(timedelta(days=1))
    assert await jobs.deletions.of_subject("old") is not None
    with psycopg.connect(database.superuser_dsn) as connection:
        connection.execute("UPDATE rooms.deletions SET update_time = update_time - interval '25 hours'")
    await jobs.store.forget(timedelta(days=1))
    assert await jobs.deletions.of_subject("old") is None
    assert (await jobs.deletions.get(old)).state is DeletionState.DONE
    found = await jobs.deletions.of_subject("running")
    assert found is not None
    assert found.id == running


async def test_of_several_of_one_id_the_last_is_found(jobs: _Jobs) -> None:
    begun = [await jobs.begin("other"), await jobs.begin()]
    await jobs.deletions.see_through(begun[1], NEVER)
    begun.append(await jobs.begin())
    found = await jobs.deletions.of_subject("lobby")
    assert found is not None
    assert found.id == begun[2]
    listed = await jobs.deletions.page(None, 10)
    assert [one.id for one in listed] == begun[::-1]
    assert await jobs.deletions.page((found.create_time, found.id), 10) == listed[1:]
