"""Everything of an image as components: packages, what is inside of them, and what the web console is built from."""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution
from pathlib import Path
from urllib.parse import quote

from services.stack.shipped.contents import CONTENTS, Content
from services.stack.shipped.licences import canonical, licence
from services.stack.shipped.packages import Package, packages

_CLIENTS = Path(__file__).parents[3] / "clients"
# What is built into services/edge/console, and whose lock has it: clients/console/build.py.
CONSOLE = {
    "preact": "console",
    "@bufbuild/protobuf": "typescript",
    "@connectrpc/connect": "typescript",
    "@connectrpc/connect-web": "typescript",
}
_WITH_CONSOLE = {"edge", "stack"}


@dataclass(frozen=True, slots=True)
class Component:
    """Something that others made: `purl` names it everywhere, hashes are pairs of an algorithm and its hex digits."""

    name: str
    version: str
    purl: str
    licence: str
    hashes: tuple[tuple[str, str], ...] = ()
    requires: tuple[str, ...] = ()
    contains: tuple["Component", ...] = ()


def components(image: str) -> list[Component]:
    """List what an image has: Python's packages, then the console's. Raises Trouble where other ones are installed."""
    console = [_from_npm(name, lock) for name, lock in CONSOLE.items()] if image in _WITH_CONSOLE else []
    return [*map(_from_python, packages(image)), *console]


def _from_python(package: Package) -> Component:
    pinned = package.pinned
    contents = CONTENTS.get(pinned.name)
    declared = [_inside(content) for content in (contents.inside if contents else ())]
    return Component(
        pinned.name,
        pinned.version,
        f"pkg:pypi/{pinned.name}@{pinned.version}",
        licence(package.distribution),
        tuple(("SHA-256", digest) for digest in pinned.hashes),
        package.requires,
        (*declared, *_crates(package.distribution)),
    )


def _inside(content: Content) -> Component:
    version = f"@{content.version}" if content.version else ""
    kind = content.purl or f"generic/{quote(content.name.lower())}"
    return Component(content.name, content.version, f"pkg:{kind}{version}", content.licence)


def _crates(package: Distribution) -> Iterator[Component]:
    """Yield the crates of Rust that a wheel says that it was built from, in an SBOM of its own."""
    for file in package.files or []:
        if file.parts[1:2] == ("sboms",) and file.suffix == ".json":
            for one in json.loads(file.read_text()).get("components", []):
                if one.get("purl", "").startswith("pkg:cargo/"):
                    spoken = " AND ".join(f"({found.get('expression', '')})" for found in one.get("licenses", []))
                    # Where it was built is nobody's business.
                    purl = one["purl"].partition("?")[0]
                    yield Component(one["name"], one["version"], purl, canonical(spoken).strip("()"))


def _from_npm(name: str, lock: str) -> Component:
    locked = json.loads((_CLIENTS / lock / "package-lock.json").read_text())["packages"][f"node_modules/{name}"]
    digest = base64.b64decode(locked["integrity"].removeprefix("sha512-")).hex()
    purl = f"pkg:npm/{quote(name)}@{locked['version']}"
    return Component(name, locked["version"], purl, canonical(locked["license"]).strip("()"), (("SHA-512", digest),))
