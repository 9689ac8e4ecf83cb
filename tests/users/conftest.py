"""Users alone, as most tests of it want it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.databases import TestDatabase
from tests.support.peers import Peers, serve
from tests.support.suite import Suite, running


@pytest.fixture
async def peers() -> AsyncIterator[Peers]:
    """Stand in for rooms, which allows everything."""
    async with serve(Peers()) as served:
        yield served


@pytest.fixture
async def users(database: TestDatabase, tmp_path: Path, peers: Peers) -> AsyncIterator[Suite]:
    """Run users, with the stand-in for rooms."""
    async with running(database, tmp_path, "users", rooms_address=peers.address) as suite:
        yield suite
