"""Fixtures for all tests: one PostgreSQL for the run, a database per test."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from services.stack.machine.postgres import Postgres
from tests.support import databases, tokens, untold
from tests.support.databases import TestDatabase
from tests.support.edge import Edge, running_edge
from tests.support.eventually import HANG_SECONDS
from tests.support.lost_connections import watching
from tests.support.suite import Suite, running

# How long an example takes says nothing about the code: others may keep the machine busy.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def lost_connections() -> Iterator[list[str]]:
    """Fail the test in which a connection is found that was never given back to its pool."""
    with watching() as lost:
        yield lost
    assert not lost


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """Run the PostgreSQL that tests share; a test that stops or breaks it must have its own."""
    with databases.cluster(tmp_path_factory.mktemp("postgres")) as running_cluster:
        yield running_cluster


@pytest.fixture
def database(postgres: Postgres) -> Iterator[TestDatabase]:
    """Lend a migrated database of the test's own."""
    with databases.clone(postgres) as lent:
        yield lent


@pytest.fixture
async def suite(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Suite]:
    """Run the services in this process."""
    async with running(database, tmp_path, "users", "rooms", "messages", "files") as started:
        yield started


@pytest.fixture
def short_path() -> Iterator[Path]:
    """Lend a folder whose path leaves room for the names of sockets."""
    with tempfile.TemporaryDirectory(prefix="edge-") as folder:
        yield Path(folder)


@pytest.fixture
async def edge(suite: Suite, short_path: Path) -> AsyncIterator[Edge]:
    """Run Envoy in front of the suite, with two users and a room."""
    await suite.make_users("alice", "bob")
    await suite.make_room("lobby", "alice", "bob")
    async with asyncio.timeout(HANG_SECONDS), running_edge(suite, short_path) as started:
        yield started


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test in whose process a service has logged a token or a secret."""
    report = yield
    found = untold.told(line for _, text in report.sections for line in untold.logged(text))
    if found and call.when == "teardown" and report.passed:
        report.outcome = "failed"
        report.longrepr = "\n".join(["logged, and must not be:", *found])
    return report


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Let no module make a token that expires before the last of its tests has begun."""
    tokens.is_collecting = True
    try:
        yield
    finally:
        tokens.is_collecting = False
