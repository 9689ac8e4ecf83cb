"""An edge in front of the suite in this process."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.edge import Edge, running_edge
from tests.support.suite import Suite


@pytest.fixture
async def edge(suite: Suite) -> AsyncIterator[Edge]:
    """Run Envoy in front of the suite, with two users and a room."""
    await suite.make_users("alice", "bob")
    await suite.make_room("lobby", "alice", "bob")
    with tempfile.TemporaryDirectory(prefix="edge-") as folder:
        async with asyncio.timeout(60), running_edge(suite, Path(folder)) as started:
            yield started
