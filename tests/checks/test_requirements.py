"""requirements/ has all that is installed, by its hashes, and is written from any index that has the files."""

import hashlib
import re
import sys
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from services.stack.setup_venv import BASE, CLIENT, DEV, pins
from services.stack.shipped.packages import requirements as requirements_of
from services.stack.shipped.pins import FOLDER, Pinned, pinned
from tests.checks import requirements
from tests.checks.requirements import INCLUDES, ROOT, CanNotLock, lock, packages_of, wanted, write

_OWN = {"chatkit", "chatkit-client"}


def _pins(name: str) -> list[str]:
    return [f"{package.name}=={package.version}" for package in pinned(name).values()]


def test_every_pin_has_hashes_and_no_other_package_has() -> None:
    known = pins(ROOT)
    assert (sorted(_pins("stack")), sorted(_pins("dev"))) == (sorted(known[BASE]), sorted(known[DEV]))
    assert all(package.hashes for name in INCLUDES for package in pinned(name).values())


def test_every_line_is_a_pin_its_hash_or_a_known_option() -> None:
    option = r"--require-hashes|--only-binary :all:|--requirement \w+\.txt"
    line = rf"(#.*|{option}|[\w.-]+==\S+ \\|    --hash=sha256:\w{{64}}( \\)?)"
    for path in FOLDER.iterdir():
        assert path.stem in INCLUDES
        assert [found for found in path.read_text().splitlines() if re.fullmatch(line, found) is None] == []


@pytest.mark.parametrize(
    ("name", "installed"),
    [("service", ["chatkit"]), ("files", ["chatkit[files]"]), ("edge", ["chatkit[edge]"]), ("build", ["hatchling"])],
)
def test_an_image_has_what_its_process_requires_and_nothing_else(name: str, installed: list[str]) -> None:
    assert pinned(name).keys() == requirements_of(*installed).keys() - _OWN


def test_no_list_of_packages_has_an_address() -> None:
    lists = [ROOT / "constraints.txt", *FOLDER.iterdir(), *(ROOT / "clients").glob("*/package-lock.json")]
    assert len(lists) == 1 + len(INCLUDES) + 2
    # A lock of npm says where donations go.
    lines = [line for path in lists for line in path.read_text().splitlines() if '"url": ' not in line]
    assert [line for line in lines if "://" in line or '"resolved"' in line] == []


def _package(*wheels: str, **more: Any) -> dict[str, Any]:
    told = [{"url": f"https://example.com/{name}", "hashes": {"sha256": name}} for name in wheels]
    return {"packages": [{"name": "A", "version": "1", "wheels": told, **more}]}


_FOR_ALL = (
    "a-1-cp311-abi3-manylinux_2_28_x86_64.whl",
    "a-1-cp311-abi3-manylinux2014_aarch64.manylinux_2_17_aarch64.whl",
    "a-1-cp310-abi3-macosx_11_0_universal2.whl",
)


def test_only_files_that_a_system_of_ours_would_take_are_named() -> None:
    others = (
        "a-1-cp310-cp310-manylinux_2_28_x86_64.whl",
        "a-1-cp314-cp314t-manylinux_2_28_x86_64.whl",
        "a-1-cp311-abi3-musllinux_1_2_x86_64.whl",
        "a-1-cp311-abi3-win_amd64.whl",
        "a-1-cp311-abi3-macosx_11_0_x86_64.whl",
    )
    assert packages_of(_package(*_FOR_ALL, *others)) == {"a": ("1", list(_FOR_ALL))}
    assert packages_of(_package("a-1-py3-none-any.whl", marker="sys_platform == 'win32'")) == {}
    assert packages_of(_package("a-1-py3-none-any.whl", marker="python_version < '3.12'")).keys() == {"a"}


def test_a_system_without_a_wheel_and_a_file_without_a_hash_are_refused() -> None:
    for left_out in _FOR_ALL:
        with pytest.raises(CanNotLock, match="A 1 has no wheel"):
            packages_of(_package(*(name for name in _FOR_ALL if name != left_out)))
    with pytest.raises(CanNotLock, match=r"sha256 of a-1-py3-none-any\.whl"):
        packages_of(
            {"packages": [{"name": "a", "version": "1", "wheels": [{"url": "https://x/a-1-py3-none-any.whl"}]}]}
        )


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Make a folder with two packages, of which one requires the other, and an index that has both."""
    for name, requires in (("tiny", "Requires-Dist: low\n"), ("low", "")):
        wheel = tmp_path / "index" / name / f"{name}-1.0-py3-none-any.whl"
        wheel.parent.mkdir(parents=True)
        with ZipFile(wheel, "w") as archive:
            metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{requires}"
            archive.writestr(f"{name}-1.0.dist-info/METADATA", metadata)
            archive.writestr(f"{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
            archive.writestr(f"{name}-1.0.dist-info/RECORD", "")
        link = f"{wheel.name}#sha256={hashlib.sha256(wheel.read_bytes()).hexdigest()}"
        (wheel.parent / "index.html").write_text(f'<!DOCTYPE html><a href="{link}">{wheel.name}</a>')
    (tmp_path / "constraints.txt").write_text("low==1.0\ntiny==1.0\n")
    extras = "[project.optional-dependencies]\nfiles = []\nedge = []\nstack = ['own[edge,files]', 'client']\ndev = []\n"
    project = "[build-system]\nrequires = []\n[project]\nname = 'own'\ndependencies = ['tiny']\n"
    (tmp_path / "pyproject.toml").write_text(project + extras)
    (tmp_path / CLIENT).mkdir(parents=True)
    (tmp_path / CLIENT / "pyproject.toml").write_text("[project]\nname = 'client'\ndependencies = ['low']\n")
    return tmp_path


def test_the_files_name_what_the_index_has_of_all_that_is_required(clone: Path) -> None:
    asked = wanted(clone)
    assert asked["stack"] == ["tiny", "low"]
    index = (clone / "index").as_uri()
    locked = {name: packages_of(lock(clone, asked[name], index)) if asked[name] else {} for name in asked}
    write(clone, locked)
    folder = clone / "requirements"
    wheels = {path.parent.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in clone.rglob("*.whl")}
    expected = {name: Pinned(name, "1.0", (digest,)) for name, digest in wheels.items()}
    assert pinned("service", folder) == pinned("stack", folder) == expected
    assert "==" not in (folder / "stack.txt").read_text()
    assert "://" not in "".join(path.read_text() for path in folder.iterdir())


def test_a_package_that_constraints_do_not_have_is_named(clone: Path) -> None:
    (clone / "constraints.txt").write_text("tiny==1.0\n")
    locked = packages_of(lock(clone, ["tiny"], (clone / "index").as_uri()))
    with pytest.raises(CanNotLock, match=r"must have low==1\.0"):
        write(clone, dict.fromkeys(INCLUDES, locked))
    assert not (clone / "requirements").exists()


def test_the_index_is_the_one_that_pip_asks(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", (clone / "index").as_uri())
    requirements._told_to_pip.cache_clear()
    try:
        assert packages_of(lock(clone, ["tiny"], None)).keys() == {"tiny", "low"}
    finally:
        requirements._told_to_pip.cache_clear()


def test_what_the_index_lacks_is_one_sentence(clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(requirements, "ROOT", clone)
    monkeypatch.setattr(sys, "argv", ["requirements", "--index-url", (clone / "nowhere").as_uri()])
    assert requirements.main() == 1
    assert capsys.readouterr().err.startswith("requirements/ is as it was: uv does not find everything: ")
