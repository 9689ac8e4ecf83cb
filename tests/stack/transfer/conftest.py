"""A suite with its edge, which exports are moved into and out of."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.stack.transfer.moving import Moving, moving
from tests.support.suite import Suite


@pytest.fixture
async def moved(suite: Suite, short_path: Path) -> AsyncIterator[Moving]:
    """Run the services and the edge."""
    async with moving(suite, short_path) as lent:
        yield lent
