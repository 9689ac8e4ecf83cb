"""Who may call what: matrix.md says it for people, the options for the services, and both are held against the suite.

Every cell is a call through the edge, in a room of its own.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from tests.permissions import table
from tests.permissions.callers import CALLERS, Caller, expected
from tests.permissions.cells import ROWS, Row, answer, make_roles, place
from tests.permissions.requests import REQUESTS
from tests.support.databases import TestDatabase
from tests.support.edge import Edge
from tests.support.suite import Suite, running

_AT_ONCE = 8
# A cell that has waited too long for a lock or a service, as on a slow machine, is made once more.
_ATTEMPTS = 10
_PASSING = {grpc.StatusCode.ABORTED, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE}
_PASSING_REASONS = {"CONTENTION", "DEADLINE_EXCEEDED", "SERVICE_UNAVAILABLE"}
# One user makes the rooms of all cells.
_LIMITS = dict.fromkeys(("ROOMS_CREATED_PER_USER", "ROOMS_CREATED_PER_USER_PER_DAY"), 100_000)
_LIMITS |= dict.fromkeys(("ROOMS_PER_USER", "ROOMS_GIVEN_PER_USER"), 100_000)


@pytest.fixture
async def suite(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Suite]:
    """Run the services in this process, without the limits of rooms."""
    async with running(database, tmp_path, "users", "rooms", "messages", "files", limit_overrides=_LIMITS) as started:
        yield started


def test_the_files_say_what_the_options_say() -> None:
    told = {
        row.name: [
            expected(row.method, caller, room_is_public=row.room_is_public, is_own=row.is_own) for caller in CALLERS
        ]
        for row in ROWS
    }
    assert table.read() == told
    assert tuple(file.read_text() for file in table.FILES) == table.written(told)


def test_every_public_method_has_a_request() -> None:
    public = {row.method.path for row in ROWS if row.method.is_public}
    assert {path.rpartition("v1.")[2] for path in public} == set(REQUESTS)


@pytest.mark.slow
async def test_the_suite_does_what_the_files_say(suite: Suite, edge: Edge) -> None:
    await suite.make_users("owner", "member", "stranger")
    await make_roles(suite)
    at_once = asyncio.Semaphore(_AT_ONCE)

    async def tried(row: Row, number: str, caller: Caller) -> str:
        at = await place(suite, row, caller, number)
        return await answer(edge.channel, row.method, caller, at)

    async def cell(row: Row, number: int, caller: Caller) -> str:
        async with at_once:
            for attempt in range(_ATTEMPTS):
                try:
                    told = await tried(row, f"{ROWS.index(row)}-{number}-{attempt}", caller)
                except grpc.aio.AioRpcError as error:
                    # It is only prepared, for which a slow machine may take too long.
                    if error.code() not in _PASSING:
                        raise
                else:
                    if told not in _PASSING_REASONS:
                        return told
            raise AssertionError(f"{row.name} has lost every race")

    # Each cell has a time of its own, which only a hang reaches; there are very many of them.
    answers = {row.name: [cell(row, number, caller) for number, caller in enumerate(CALLERS)] for row in ROWS}
    told = {name: list(await asyncio.gather(*cells)) for name, cells in answers.items()}
    assert told == table.read()
