"""When .venv is complete, what is refused before an install, and what an install that ended early leaves."""

import sys
from dataclasses import replace
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from services.stack.setup_venv import (
    BASE,
    CLIENT,
    DEV,
    DEV_PINS,
    Build,
    SetupError,
    Step,
    ensure,
    expected_stamp,
    is_complete,
    part_of,
    pins,
    refusal,
    steps,
)
from services.stack.shipped.packages import requirements as requirements_of
from tests.contract.descriptors import ROOT
from tests.contract.sources import imports

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
    (folder / CLIENT).mkdir(parents=True)
    (folder / "pyproject.toml").write_text("[project]")
    (folder / CLIENT / "pyproject.toml").write_text("[project]")
    (folder / "requirements").mkdir()
    (folder / "requirements" / "stack.txt").write_text("a==1 --hash=sha256:00\n")
    (folder / "constraints.txt").write_text(f"a==1\n\n{DEV_PINS}: …\nmy.tool==2.0\n")
    return folder


class _Install:
    """Stands for pip: notes the commands, and makes the folders that the first one makes."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.commands: list[list[str]] = []
        self.packages: list[str] = []
        self._fails_at = fails_at

    def __call__(self, step: Step, folder: Path, _lock: int) -> None:
        if len(self.commands) == self._fails_at:
            raise KeyboardInterrupt
        self.commands.append(step.command)
        self.packages += step.packages
        _packages(folder).mkdir(parents=True, exist_ok=True)

    @property
    def made_anew(self) -> bool:
        return any("--clear" in command for command in self.commands)


def _packages(root: Path) -> Path:
    return root / ".venv" / "lib" / "python3.11" / "site-packages"


def _installed(root: Path, wanted: str) -> _Install:
    install = _Install()
    ensure(root, install, wanted)
    return install


def test_what_up_needs_is_installed_once(root: Path) -> None:
    assert not is_complete(root, BASE)
    assert _installed(root, BASE).packages == ["a==1"]
    assert (is_complete(root, BASE), is_complete(root, DEV)) == (True, False)
    assert not _installed(root, BASE).commands


def test_tests_only_add_to_it_and_up_leaves_what_was_added(root: Path) -> None:
    _installed(root, BASE)
    added = _installed(root, DEV)
    assert (added.packages, added.made_anew) == (["my.tool==2.0"], False)
    assert is_complete(root, BASE)
    assert is_complete(root, DEV)
    assert not _installed(root, BASE).commands
    assert not _installed(root, DEV).commands


def test_tests_in_an_empty_folder_install_both(root: Path) -> None:
    assert _installed(root, DEV).packages == ["a==1", "my.tool==2.0"]
    assert is_complete(root, BASE)


@pytest.mark.parametrize(
    "changed", ["pyproject.toml", "constraints.txt", "requirements/stack.txt", f"{CLIENT}/pyproject.toml"]
)
def test_changed_pins_make_it_anew(root: Path, changed: str) -> None:
    _installed(root, DEV)
    (root / changed).write_text("b==2")
    assert not is_complete(root, BASE)
    assert not is_complete(root, DEV)
    assert _installed(root, BASE).made_anew
    assert (is_complete(root, BASE), is_complete(root, DEV)) == (True, False)


def test_another_python_or_another_folder_makes_it_anew(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _installed(root, BASE)
    moved = root.rename(root.with_name("moved"))
    assert not is_complete(moved, BASE)
    _installed(moved, BASE)
    monkeypatch.setattr(sys, "version_info", (3, 99, 0))
    assert not is_complete(moved, BASE)


@pytest.mark.parametrize("step", range(4))
def test_an_install_that_was_interrupted_anywhere_is_not_complete_and_starts_anew(root: Path, step: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        ensure(root, _Install(fails_at=step), DEV)
    assert not is_complete(root, BASE)
    assert _installed(root, BASE).made_anew
    assert is_complete(root, BASE)


def test_an_addition_that_was_interrupted_leaves_what_up_needs_and_is_repeated_whole(root: Path) -> None:
    _installed(root, BASE)
    with pytest.raises(KeyboardInterrupt):
        ensure(root, _Install(fails_at=0), DEV)
    assert (is_complete(root, BASE), is_complete(root, DEV)) == (True, False)
    # What pip writes last of a package may be there when much of it is not.
    halves = {name: _packages(root) / f"{name}.dist-info" for name in ("My_Tool-2.0", "my_tool-1.0", "a-1")}
    for folder in halves.values():
        folder.mkdir()
        (folder / "METADATA").touch()
    assert not _installed(root, DEV).made_anew
    assert [name for name, folder in halves.items() if folder.exists()] == ["my_tool-1.0", "a-1"]
    assert is_complete(root, DEV)


def test_a_rebuild_that_was_interrupted_is_not_taken_for_the_environment_before_it(root: Path) -> None:
    _installed(root, BASE)
    before = (root / "constraints.txt").read_text()
    (root / "constraints.txt").write_text("b==2")
    with pytest.raises(KeyboardInterrupt):
        ensure(root, _Install(fails_at=2), BASE)
    (root / "constraints.txt").write_text(before)
    assert not is_complete(root, BASE)


@pytest.mark.parametrize(
    ("module", "part"),
    [
        ("services.stack", BASE),
        ("benchmarks", BASE),
        ("tests", DEV),
        ("tests.checks", DEV),
        ("tests.checks.mutate", DEV),
    ],
)
def test_only_tests_and_checks_need_more(module: str, part: str) -> None:
    assert part_of(module) == part


@pytest.mark.parametrize("folder", ["services", "clients", "benchmarks"])
def test_what_runs_without_the_rest_imports_nothing_of_it(folder: str) -> None:
    dev = {canonicalize_name(pin.partition("==")[0]) for pin in pins(ROOT)[DEV]}
    brought_by = packages_distributions()
    for path in (ROOT / folder).rglob("*.py"):
        for imported in imports(path):
            owners = {canonicalize_name(owner) for owner in brought_by.get(imported.partition(".")[0], ())}
            assert not owners or not owners <= dev, f"{path} imports {imported}"


def test_each_part_pins_all_that_it_needs_and_nothing_else() -> None:
    # pip is told to add nothing by itself, so a package that is not there would be missing.
    pinned = {part: {canonicalize_name(pin.partition("==")[0]) for pin in found} for part, found in pins(ROOT).items()}
    base = requirements_of("chatkit[stack]", "hatchling").keys() - {"chatkit", "chatkit-client"}
    assert pinned[BASE] == base
    assert pinned[DEV] == requirements_of("chatkit[dev]").keys() - base - {"chatkit", "chatkit-client"}


def test_the_stamp_tells_apart_what_only_the_border_between_files_tells(root: Path) -> None:
    first = expected_stamp(root, BASE)
    (root / "pyproject.toml").write_text("[project]a")
    (root / "constraints.txt").write_text((root / "constraints.txt").read_text().removeprefix("a"))
    assert expected_stamp(root, BASE) != first


def test_no_address_and_no_output_option_is_forced_on_pip() -> None:
    words = [word for part in (BASE, DEV) for step in steps(ROOT, part) for word in step.command]
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
        ensure(root, install, BASE)
    assert not install.commands
    assert not (root / ".venv").exists()
