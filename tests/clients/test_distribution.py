"""The client is a distribution of its own, of the suite's release."""

import tomllib
from importlib.metadata import requires
from pathlib import Path

from tests.contract.descriptors import ROOT

_FOLDER = ROOT / "clients" / "python"


def _project(folder: Path) -> dict[str, object]:
    project: dict[str, object] = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    return project


def test_its_version_its_licence_and_its_python_are_the_suites() -> None:
    own, suite = _project(_FOLDER), _project(ROOT)
    for key in ("version", "license", "requires-python"):
        assert own[key] == suite[key]
    assert (_FOLDER / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


def test_it_needs_three_distributions_and_none_of_the_suites() -> None:
    needed = {requirement.partition(">")[0] for requirement in requires("chatkit-client") or []}
    assert needed == {"googleapis-common-protos", "grpcio", "protobuf"}
