"""Writes requirements/ out of the pins of constraints.txt: `python -m tests.checks.requirements`.

A file of that folder is what pip installs for one purpose: each package with its one version and the hashes of the
files that may be installed, so that pip refuses any other. Nothing there names an index, so a mirror serves as well.
The hashes are those of the index that pip is configured for, which uv asks for all packages at once.
"""

import argparse
import ast
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags, mac_platforms
from packaging.utils import canonicalize_name, parse_wheel_filename

from services.stack.setup_venv import CLIENT

ROOT = Path(__file__).parents[2]
# Each file, with those that it begins with: their packages are not repeated in it.
INCLUDES = {
    "service": (),
    "files": ("service",),
    "edge": ("service",),
    "build": (),
    "stack": ("files", "edge", "build"),
    "dev": (),
}
_PYTHONS = ((3, 11), (3, 12), (3, 13), (3, 14))
_MARKERS = {"implementation_name": "cpython", "platform_python_implementation": "CPython", "os_name": "posix"}
_SYSTEMS: tuple[dict[str, str], ...] = (
    {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"},
    {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "aarch64"},
    {"sys_platform": "darwin", "platform_system": "Darwin", "platform_machine": "arm64"},
)
_NEWEST_GLIBC, _NEWEST_MACOS = 60, (40, 0)
_HEAD = """\
# Written by `python -m tests.checks.requirements` out of constraints.txt; change it there.
--require-hashes
--only-binary :all:
"""

Locked = dict[str, tuple[str, list[str]]]


class CanNotLock(Exception):
    """Why requirements/ can't be written, in a sentence."""


def wanted(root: Path) -> dict[str, list[str]]:
    """Return what is asked for in each file, with the names that pyproject.toml has for it."""
    read = tomllib.loads((root / "pyproject.toml").read_text())
    project, extras = read["project"], read["project"]["optional-dependencies"]
    client = tomllib.loads((root / CLIENT / "pyproject.toml").read_text())["project"]

    def expand(requirements: Iterable[str]) -> Iterator[str]:
        for text in requirements:
            requirement = Requirement(text)
            if requirement.name == project["name"]:
                for extra in sorted(requirement.extras):
                    yield from expand(extras[extra])
            elif requirement.name == client["name"]:
                yield from client["dependencies"]
            else:
                yield text

    own = project["dependencies"]
    build = read["build-system"]["requires"]
    asked = {"service": own, "build": build, "stack": [*own, *build, *extras["stack"]], "dev": extras["dev"]}
    for name in INCLUDES.keys() - asked.keys():
        asked[name] = [*own, *extras[name]]
    return {name: list(expand(asked[name])) for name in INCLUDES}


def write(root: Path, locked: dict[str, Locked]) -> None:
    """Write the folder. Raises CanNotLock where the packages are not those of constraints.txt."""
    pinned = (root / "constraints.txt").read_text().split()
    for name, (version, _) in sorted({**locked["stack"], **locked["dev"]}.items()):
        if f"{name}=={version}" not in pinned:
            raise CanNotLock(f"constraints.txt must have {name}=={version}, which something there requires")
    (root / "requirements").mkdir(exist_ok=True)
    for name, included in INCLUDES.items():
        there = set[str]().union(*(locked[other] for other in included))
        if name == "dev":
            # It is added to what `stack` has.
            there = set(locked["stack"])
        lines = [_HEAD, *(f"--requirement {other}.txt\n" for other in included)]
        lines += (_line(package, *locked[name][package]) for package in sorted(locked[name].keys() - there))
        (root / "requirements" / f"{name}.txt").write_text("".join(lines))


def _line(name: str, version: str, hashes: Iterable[str]) -> str:
    return " \\\n    ".join([f"{name}=={version}", *(f"--hash=sha256:{one}" for one in sorted(hashes))]) + "\n"


def packages_of(lock: dict[str, Any]) -> Locked:
    """Return the packages of a pylock.toml that may be installed somewhere, with the hashes of their wheels.

    Raises CanNotLock where a system or a Python has no wheel, or the index tells no hash.
    """
    return {
        canonicalize_name(package["name"]): (package["version"], _hashes(package))
        for package in lock["packages"]
        if _is_wanted(package.get("marker"))
    }


def _is_wanted(marker: str | None) -> bool:
    return marker is None or any(Marker(marker).evaluate(environment) for environment in _environments())


def _environments() -> Iterator[dict[str, str]]:
    for system in _SYSTEMS:
        for major, minor in _PYTHONS:
            version = {"python_version": f"{major}.{minor}", "python_full_version": f"{major}.{minor}.0"}
            yield {**_MARKERS, **system, **version}


def _hashes(package: dict[str, Any]) -> list[str]:
    wheels = {wheel["url"].rpartition("/")[2]: wheel.get("hashes", {}) for wheel in package.get("wheels", [])}
    usable = {name: told for name, told in wheels.items() if any(_fits(name, tags) for tags in _tags())}
    if not all(any(_fits(name, tags) for name in usable) for tags in _tags()):
        raise CanNotLock(f"{package['name']} {package['version']} has no wheel for one of the systems")
    unknown = [name for name, told in usable.items() if "sha256" not in told]
    if unknown:
        raise CanNotLock(f"the index does not tell the sha256 of {', '.join(unknown)}")
    return [told["sha256"] for told in usable.values()]


def _fits(wheel: str, tags: frozenset[Tag]) -> bool:
    return not parse_wheel_filename(wheel)[3].isdisjoint(tags)


@cache
def _tags() -> list[frozenset[Tag]]:
    """Return what each system accepts with each Python, whichever its C library or macOS is."""
    return [
        frozenset((*cpython_tags(python, [_abi(python)], platforms), *compatible_tags(python, _abi(python), platforms)))
        for platforms in map(_platforms, _SYSTEMS)
        for python in _PYTHONS
    ]


def _abi(python: tuple[int, int]) -> str:
    return "cp{}{}".format(*python)


def _platforms(system: dict[str, str]) -> list[str]:
    machine = system["platform_machine"]
    if system["sys_platform"] == "darwin":
        return list(mac_platforms(_NEWEST_MACOS, machine))
    named = [f"manylinux2014_{machine}", *(f"{old}_{machine}" for old in ("manylinux2010", "manylinux1"))]
    return [*named, *(f"manylinux_2_{minor}_{machine}" for minor in range(_NEWEST_GLIBC))]


def lock(root: Path, requirements: list[str], index: str | None) -> dict[str, Any]:
    """Ask an index what the requirements need, at the versions of constraints.txt, and which files it has of that."""
    command = ["uv", "pip", "compile", "-", "--format=pylock.toml", "--universal", "--python-version=3.11"]
    command += ["--constraint=constraints.txt", "--no-build", "--no-config", "--no-header", "--quiet"]
    told = _told_to_pip()
    index = index or told.get("index-url")
    command += [f"--default-index={index}"] if index else []
    environment = {**os.environ, **({"SSL_CERT_FILE": told["cert"]} if "cert" in told else {})}
    done = subprocess.run(
        [f"{sys.prefix}/bin/{command[0]}", *command[1:]],
        input="\n".join(requirements),
        env=environment,
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise CanNotLock(f"uv does not find everything: {done.stderr.strip()}")
    return tomllib.loads(done.stdout)


@cache
def _told_to_pip() -> dict[str, str]:
    """Return pip's settings by name: those of its files, over them those for installs, then the environment's."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    found: dict[str, str] = {}
    for scope in ("global.", "install.", ":env:."):
        for line in listed:
            key, _, value = line.partition("=")
            if key.startswith(scope):
                found[key.removeprefix(scope)] = str(ast.literal_eval(value))
    return found


def main() -> int:
    """Write the folder, and return the exit status."""
    parser = argparse.ArgumentParser(prog="tests.checks.requirements", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--index-url", metavar="URL", help="the index that is asked (default: the one that pip asks)")
    index = parser.parse_args().index_url
    try:
        write(ROOT, {name: packages_of(lock(ROOT, asked, index)) for name, asked in wanted(ROOT).items()})
    except CanNotLock as error:
        print(f"requirements/ is as it was: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
