"""When .venv is complete, what is refused before an install, and what an install that ended early leaves."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from services.stack import setup_venv
from services.stack.setup_venv import Build, SetupError, ensure, expected_stamp, is_complete, refusal

_LINUX = Build(
    system="Linux",
    machine="x86_64",
    release="6.1.0",
    glibc=(2, 36),
    implementation="cpython",
    python=(3, 11),
    bits=64,
    free_threaded=False,
    has_ensurepip=True,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Make a folder that looks like a clone, in a path with a space."""
    folder = tmp_path / "a clone"
    folder.mkdir()
    (folder / "pyproject.toml").write_text("[project]")
    (folder / "constraints.txt").write_text("a==1")
    return folder


class _Install:
    """Stands for pip: notes the commands, and makes the folder that the first one makes."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.commands: list[Sequence[str]] = []
        self._fails_at = fails_at

    def __call__(self, command: Sequence[str], folder: Path, _lock: int) -> None:
        if len(self.commands) == self._fails_at:
            raise KeyboardInterrupt
        self.commands.append(command)
        (folder / ".venv").mkdir(exist_ok=True)


def test_an_install_is_done_once(root: Path) -> None:
    install = _Install()
    assert not is_complete(root)
    ensure(root, install)
    assert is_complete(root)
    commands = len(install.commands)
    ensure(root, install)
    assert len(install.commands) == commands == 4


@pytest.mark.parametrize("changed", ["pyproject.toml", "constraints.txt"])
def test_changed_pins_make_it_anew(root: Path, changed: str) -> None:
    ensure(root, _Install())
    (root / changed).write_text("b==2")
    assert not is_complete(root)
    again = _Install()
    ensure(root, again)
    assert again.commands
    assert is_complete(root)


def test_another_python_or_another_folder_makes_it_anew(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ensure(root, _Install())
    moved = root.rename(root.with_name("moved"))
    assert not is_complete(moved)
    ensure(moved, _Install())
    monkeypatch.setattr(sys, "version_info", (3, 99, 0))
    assert not is_complete(moved)


@pytest.mark.parametrize("step", range(4))
def test_an_install_that_was_interrupted_anywhere_is_not_complete_and_starts_anew(root: Path, step: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        ensure(root, _Install(fails_at=step))
    assert not is_complete(root)
    ensure(root, _Install())
    assert is_complete(root)


def test_a_rebuild_that_was_interrupted_is_not_taken_for_the_environment_before_it(root: Path) -> None:
    ensure(root, _Install())
    before = (root / "constraints.txt").read_text()
    (root / "constraints.txt").write_text("b==2")
    with pytest.raises(KeyboardInterrupt):
        ensure(root, _Install(fails_at=2))
    (root / "constraints.txt").write_text(before)
    assert not is_complete(root)


def test_the_stamp_tells_apart_what_only_the_border_between_files_tells(root: Path) -> None:
    first = expected_stamp(root)
    (root / "pyproject.toml").write_text("[project]a")
    (root / "constraints.txt").write_text("==1")
    assert expected_stamp(root) != first


def test_no_address_and_no_output_option_is_forced_on_pip() -> None:
    words = [word for command in setup_venv.commands() for word in command]
    assert not [word for word in words if "index" in word or "://" in word or word in {"-q", "--quiet"}]


def test_this_machine_is_not_refused() -> None:
    assert refusal(Build.running()) is None
    assert refusal(_LINUX) is None


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (replace(_LINUX, glibc=()), "musl"),
        (replace(_LINUX, glibc=(2, 28)), "glibc 2.31 or newer, and this system has glibc 2.28"),
        (replace(_LINUX, system="Windows", machine="AMD64"), "Linux (x86-64, arm64) and macOS"),
        (replace(_LINUX, system="Darwin", machine="x86_64", release="24.0"), "macOS 15 (arm64) only"),
        (replace(_LINUX, system="Darwin", machine="arm64", release="22.1", glibc=()), "macOS 15 (arm64) only"),
        (replace(_LINUX, implementation="pypy"), "64-bit CPython"),
        (replace(_LINUX, bits=32), "64-bit CPython"),
        (replace(_LINUX, free_threaded=True), "free-threaded"),
        (replace(_LINUX, python=(3, 15)), "3.11 to 3.14"),
        (replace(_LINUX, has_ensurepip=False), "apt install python3.11-venv"),
    ],
)
def test_what_can_not_be_installed_on_gets_one_sentence(build: Build, words: str) -> None:
    reason = refusal(build)
    assert reason is not None
    assert words in reason
    assert "\n" not in reason


def test_a_refusal_touches_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Build, "running", classmethod(lambda _cls: replace(_LINUX, glibc=())))
    install = _Install()
    with pytest.raises(SetupError, match="musl"):
        ensure(root, install)
    assert not install.commands
    assert not (root / ".venv").exists()
