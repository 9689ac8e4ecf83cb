"""docs/licences.md: what is shipped, where, and with which licence."""

from collections.abc import Iterable
from pathlib import Path

from services.stack.shipped.components import Component, components
from services.stack.shipped.contents import CONTENTS, Content
from services.stack.shipped.licences import EXCEPTIONS
from services.stack.shipped.packages import IMAGES

PATH = Path(__file__).parents[3] / "docs" / "licences.md"
_ALL = "stack"
_HEAD = """\
# Licences

What others made of Chatkit, which itself has Apache-2.0 (`LICENSE`). `python -m services.stack.shipped` writes this
page from the metadata of what is installed. The licences are SPDX expressions, and a test refuses any that is not
allowed in `services/stack/shipped/licences.py`. `./chatkit sbom` tells the same to machines, with hashes
([supply chain](supply-chain.md)).

The text of a package's licence lies beside it: in an image under `/opt/chatkit/lib/python3.12/site-packages`, in the
folder `<name>-<version>.dist-info`. Those of the web console's parts are in `services/edge/console/LICENSES.txt`, which
the edge serves, and the console's page links to. The images stand on `python:3.12-slim`, whose Debian packages have
theirs under `/usr/share/doc`.

## In the images

What is in an image is also in what `./chatkit up` runs.

"""
_INSIDE = """
## Inside of packages

Programs and libraries that wheels bring, as far as they tell; of those for Linux (x86-64). Rust's crates are in the
SBOM alone. Not every wheel brings the texts of what is inside of it. That of Apache-2.0, which Envoy and OpenSSL have,
is in each image as `LICENSE` of `chatkit`; others are with their projects.

"""
_OTHERS = """
## With conditions of their own

"""


def page() -> str:
    """Return the page. Raises Trouble where other packages are installed than are pinned."""
    found = {image: components(image) for image in IMAGES}
    rows = [(_name(one), one.version, one.licence, _where(one, found)) for one in found[_ALL]]
    inside = [(name, "; ".join(_inside(CONTENTS[name].inside))) for name in sorted(CONTENTS)]
    others = [(name, licence, why) for name, (licence, why) in EXCEPTIONS.items()]
    return "".join(
        (
            *(_HEAD, _table(("package", "version", "licence", "images"), rows)),
            *(_INSIDE, _table(("package", "what is inside"), inside)),
            *(_OTHERS, _table(("name", "licence", "why it is there"), others)),
        )
    )


def _name(one: Component) -> str:
    return f"{one.name} (npm, in the console)" if one.purl.startswith("pkg:npm/") else one.name


def _where(one: Component, found: dict[str, list[Component]]) -> str:
    images = [image for image, there in found.items() if image != _ALL and one in there]
    return "every" if len(images) == len(found) - 1 else ", ".join(images) or "none"


def _inside(contents: Iterable[Content]) -> Iterable[str]:
    for one in contents:
        yield f"{one.name} {one.version}".rstrip() + f" ({one.licence})"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
