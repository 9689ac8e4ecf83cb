"""What `buf breaking` compares with is the contract of the last release."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.checks.mixed.releases import ROOT, default_revision, files_of, has_history
from tests.checks.steps import LANDED, static_steps

_PROJECT = "pyproject.toml"


def test_the_landed_contract_is_that_of_the_last_release(tmp_path: Path) -> None:
    if not has_history():
        pytest.skip("the last release is an older commit, and this checkout has no history")
    release = default_revision()
    files_of(release, tmp_path, "protos", _PROJECT)
    # While a release is cut, from its version's number to its tag, what has landed is already its own contract.
    is_cut = _version(tmp_path) != _version(ROOT)
    wanted = _described(ROOT if is_cut else tmp_path, tmp_path / "wanted.binpb")
    assert (ROOT / LANDED).read_bytes() == wanted, f"protos/landed.binpb is not the contract of {release}"


def test_the_contract_is_compared_with_the_landed_one() -> None:
    (breaking,) = [step for step in static_steps() if step.name == "buf breaking"]
    assert breaking.command[1:] == ("breaking", "protos", "--against", LANDED)
    assert not breaking.absent


def _version(root: Path) -> str:
    return str(tomllib.loads((root / _PROJECT).read_text())["project"]["version"])


def _described(root: Path, into: Path) -> bytes:
    buf = Path(sys.executable).parent / "buf"
    subprocess.run([buf, "build", "--exclude-source-info", "--output", into], cwd=root / "protos", check=True)
    return into.read_bytes()
