"""A home for commands."""

from pathlib import Path

import pytest

from services.stack.home import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Make a fresh home, in which nothing runs."""
    made = Home(tmp_path / "home")
    made.prepare()
    return made
