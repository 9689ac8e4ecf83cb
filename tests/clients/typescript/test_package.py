"""The TypeScript client is a package of the suite's release, whose contents everyone gets alike."""

import json
import re
import tomllib
from typing import Any

from tests.clients.typescript.tools import FOLDER
from tests.contract.descriptors import ROOT


def _package() -> dict[str, Any]:
    package: dict[str, Any] = json.loads((FOLDER / "package.json").read_text())
    return package


def test_its_version_and_its_licence_are_the_suites() -> None:
    own, suite = _package(), tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (own["version"], own["license"]) == (suite["version"], suite["license"])
    assert (FOLDER / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


def test_it_needs_three_packages_and_names_exact_versions() -> None:
    package = _package()
    assert set(package["dependencies"]) == {"@bufbuild/protobuf", "@connectrpc/connect", "@connectrpc/connect-web"}
    assert all(meta == {"optional": True} for meta in package["peerDependenciesMeta"].values())
    assert package["peerDependencies"].keys() == package["peerDependenciesMeta"].keys()
    pinned = package["dependencies"] | package["devDependencies"]
    assert not [version for version in pinned.values() if not re.fullmatch(r"\d+\.\d+\.\d+", version)]


def test_the_lock_file_says_what_the_packages_are_and_not_where_they_come_from() -> None:
    lock = (FOLDER / "package-lock.json").read_text()
    assert "://" not in lock
    installed = [entry for path, entry in json.loads(lock)["packages"].items() if path]
    assert installed
    assert all("integrity" in entry for entry in installed)
