"""The state folder: secrets made once and kept to their owner, one `up` at a time, pids that are not believed."""

import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from services.runtime.bus.subjects import SUBJECTS
from services.stack.home import Home, Running, State
from services.stack.machine.recorded import find, process_of
from services.stack.roles import all_roles
from services.stack.trouble import Trouble


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Make a fresh home, in a path with a space."""
    made = Home(tmp_path / "my chat")
    made.prepare()
    return made


def test_secrets_are_made_once_and_only_their_owner_can_read_them(home: Home) -> None:
    before = (
        home.instance,
        home.passwords,
        home.nats_passwords,
        home.keys_file.read_text(),
        home.service_keys_file.read_text(),
    )
    home.prepare()
    after = (
        home.instance,
        home.passwords,
        home.nats_passwords,
        home.keys_file.read_text(),
        home.service_keys_file.read_text(),
    )
    assert after == before
    for path in (home.folder / "secrets").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE((home.folder / "secrets").stat().st_mode) == 0o700


def test_a_home_of_an_earlier_release_keeps_its_secrets_and_gets_what_it_lacks(home: Home) -> None:
    # Of before the services had a credential each at NATS, and of before there was files.
    nats_file, database_file = (home.folder / "secrets" / name for name in ("nats.json", "database.json"))
    nats_file.write_text(json.dumps({"token": "the token of all"}))
    before = {role: password for role, password in home.passwords.items() if "files" not in role}
    database_file.write_text(json.dumps(before))
    home.prepare()
    assert home.passwords.items() > before.items()
    assert set(home.passwords) == {"postgres", *all_roles()}
    assert home.nats_passwords.keys() == SUBJECTS.keys()
    # So the earlier release can be run again.
    assert json.loads(nats_file.read_text())["token"] == "the token of all"
    made = (home.nats_passwords, home.passwords)
    home.prepare()
    assert (home.nats_passwords, home.passwords) == made
    assert stat.S_IMODE(nats_file.stat().st_mode) == 0o600


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
    assert find(own) == psutil.Process()
    assert find(replace(own, start_time=own.start_time - 100)) is None
    assert find(Running("users", 2**22 + 1, own.start_time, "")) is None


def test_a_process_that_has_ended_is_not_recorded() -> None:
    """Where several end at once, one of them is started again while the others are recorded."""
    with pytest.raises(ProcessLookupError, match="users has ended"):
        process_of("users", 2**22 + 1, "")


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
