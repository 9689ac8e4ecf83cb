"""The files service, with stand-ins for rooms, users and messages."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.files.library import Library, library
from tests.support.databases import TestDatabase


@pytest.fixture
async def shelf(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Library]:
    """Run the service."""
    async with library(database, tmp_path) as running:
        yield running
