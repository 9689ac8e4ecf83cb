"""Fixtures for all tests: one PostgreSQL for the run, a database per test."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from services.stack.postgres import Postgres
from tests.support import databases
from tests.support.databases import TestDatabase
from tests.support.suite import Suite, running


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
    """Run users, rooms and messages in this process."""
    async with running(database, tmp_path, "users", "rooms", "messages") as started:
        yield started
