"""A suite with an edge whose console can be opened, and a browser to open it in."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from playwright.async_api import Browser

from services.stack.machine.ports import Port
from tests.clients.console.browser import chromium, running_browser
from tests.support.databases import TestDatabase
from tests.support.edge import Edge, running_edge
from tests.support.suite import running


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Run a browser."""
    async with running_browser() as started:
        yield started


@pytest.fixture
async def edge(database: TestDatabase, tmp_path: Path, short_path: Path) -> AsyncIterator[Edge]:
    """Run the suite behind an edge where its files are, too, with two users and a room."""
    chromium()
    async with AsyncExitStack() as stack:
        port = Port("127.0.0.1")
        stack.callback(port.release)
        suite = await stack.enter_async_context(running(database, tmp_path, "users", "rooms", "messages", "files"))
        await suite.restart("files", public_url=f"http://{port.address}")
        await suite.make_users("alice", "bob")
        await suite.make_room("lobby", "alice", "bob")
        yield await stack.enter_async_context(running_edge(suite, short_path, listen=port.address))
