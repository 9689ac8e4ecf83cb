"""What runs is recorded in the home, and nothing depends on it."""

from pathlib import Path

import pytest

from services.stack.home import Home
from services.stack.machine.replicas import ONE_OF_EACH
from services.stack.machine.up import Stack


def test_a_home_that_takes_nothing_keeps_nothing_from_running(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    stack = Stack(home, 0, ONE_OF_EACH, print)
    obstacle = Path(home.folder / "state.json.unfinished")
    obstacle.mkdir()
    stack.record()
    assert capsys.readouterr().out == f"what runs can't be recorded in {home.folder}: Is a directory\n"
    obstacle.rmdir()
    stack.release()
