"""The state folder: secrets made once and kept to their owner, one `up` at a time, pids that are not believed."""

import os
import stat
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from services.stack.home import Home, Running, State, process_of
from services.stack.trouble import Trouble


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Make a fresh home, in a path with a space."""
    made = Home(tmp_path / "my chat")
    made.prepare()
    return made


def test_secrets_are_made_once_and_only_their_owner_can_read_them(home: Home) -> None:
    before = (home.instance, home.passwords, home.keys_file.read_text(), home.service_keys_file.read_text())
    home.prepare()
    assert (home.instance, home.passwords, home.keys_file.read_text(), home.service_keys_file.read_text()) == before
    for path in (home.folder / "secrets").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE((home.folder / "secrets").stat().st_mode) == 0o700


def test_preparing_leaves_the_mode_of_folders_that_exist_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    existing = tmp_path / "existing"
    existing.mkdir()
    existing.chmod(0o750)
    Home(existing).prepare()
    assert stat.S_IMODE(existing.stat().st_mode) == 0o750
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


def test_only_one_holds_the_lock(home: Home) -> None:
    assert not home.is_up()
    with home.lock() as first, home.lock() as second:
        assert (first, second) == (True, False)
        assert home.is_up()
    assert not home.is_up()


def test_the_state_is_read_as_it_was_recorded(home: Home) -> None:
    assert home.state() == State()
    state = State("127.0.0.1:1", [process_of("users", os.getpid(), "127.0.0.1:2")], is_seeded=True)
    home.record(state)
    assert home.state() == state


def test_a_pid_that_is_another_process_by_now_is_not_believed(home: Home) -> None:
    own = process_of("users", os.getpid(), "")
    assert own.process() == psutil.Process()
    assert replace(own, start_time=own.start_time - 100).process() is None
    assert Running("users", 2**22 + 1, own.start_time, "").process() is None


def test_a_file_in_place_of_the_folder_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(Trouble, match="is not a folder"):
        Home(tmp_path / "home").prepare()


def test_without_an_up_there_is_no_address(home: Home) -> None:
    home.record(State("127.0.0.1:1"))
    with pytest.raises(Trouble, match=r"nothing runs in .*my chat"):
        home.running_address()
    with home.lock():
        assert home.running_address() == "127.0.0.1:1"
