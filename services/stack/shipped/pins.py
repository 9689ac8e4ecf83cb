"""What is pinned: the files of requirements/, read. tests/checks/requirements.py writes them."""

import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parents[3] / "requirements"
_PIN = re.compile(r"^([\w.-]+)==(\S+)((?: --hash=sha256:[0-9a-f]{64})*)$", re.MULTILINE)
_INCLUDED = re.compile(r"^--requirement (\S+)\.txt$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Pinned:
    """A package in its one version, with the sha256 of each file that may be installed of it."""

    name: str
    version: str
    hashes: tuple[str, ...]


def pinned(name: str, folder: Path = FOLDER) -> dict[str, Pinned]:
    """Return by name the packages of a file and of those that it includes."""
    text = (folder / f"{name}.txt").read_text().replace(" \\\n   ", "")
    found = {
        package: found for included in _INCLUDED.findall(text) for package, found in pinned(included, folder).items()
    }
    for package, version, hashes in _PIN.findall(text):
        found[package] = Pinned(package, version, tuple(re.findall(r"[0-9a-f]{64}", hashes)))
    return found
