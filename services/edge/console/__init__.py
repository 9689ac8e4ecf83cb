"""The web console's files as they are built, and what the edge serves of them: the licences of its parts, too.

The page names the others by what they hold. So a browser may keep those for ever, and none takes a script of one
release with the style of another.
"""

import gzip
import hashlib
import html
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PAGE = "index.html"
_FOLDER = Path(__file__).parent
_HASH_CHARS = 16


@dataclass(frozen=True, slots=True)
class Asset:
    """A file that the page names."""

    name: str
    content_type: str

    @property
    def content(self) -> bytes:
        """What it holds."""
        return (_FOLDER / self.name).read_bytes()

    @property
    def zipped_name(self) -> str:
        """What it is called compressed, in the folder that the edge serves."""
        return f"{self.name}.gz"

    @property
    def path(self) -> str:
        """Where it is served, which changes with what it holds."""
        return _path_of(self)


@cache
def _path_of(asset: Asset) -> str:
    """Read and hash an asset once: its path stands in several routes, and in the page."""
    hashed = hashlib.sha256(asset.content).hexdigest()[:_HASH_CHARS]
    return f"/console/{hashed}{Path(asset.name).suffix}"


SCRIPT = Asset("console.js", "text/javascript; charset=utf-8")
STYLE = Asset("console.css", "text/css; charset=utf-8")
LICENCES = Asset("LICENSES.txt", "text/plain; charset=utf-8")
ASSETS = (SCRIPT, STYLE, LICENCES)


def page(hosts: Sequence[str]) -> str:
    """Return the page: the template, with the paths of the others and the origins that may hand over tokens."""
    template = (_FOLDER / PAGE).read_text(encoding="utf-8")
    paths = {"script": SCRIPT.path, "style": STYLE.path, "licences": LICENCES.path}
    return template.format(**paths, hosts=html.escape(" ".join(hosts)))


def write(folder: Path, hosts: Sequence[str]) -> None:
    """Write what is served: the page, and the others both plain and compressed."""
    folder.mkdir(exist_ok=True)
    (folder / PAGE).write_text(page(hosts), encoding="utf-8")
    for asset in ASSETS:
        (folder / asset.name).write_bytes(asset.content)
        # Without a time, so that every edge has the same bytes.
        (folder / asset.zipped_name).write_bytes(gzip.compress(asset.content, mtime=0))
