"""Builds the console into services/edge/console, from where the edge serves it: `python clients/console/build.py`.

What is built is checked in, so that a machine that runs the suite needs no Node; a test builds it again and compares.
"""

import json
import shutil
import subprocess
import sys
from itertools import takewhile
from pathlib import Path

from protos import node

_ROOT = Path(__file__).resolve().parents[2]
BUILT = _ROOT / "services" / "edge" / "console"
PAGE = "index.html"
_CLIENT = node.TYPESCRIPT / "src"
# The hooks are React's; Preact has the same in a twentieth of the size.
_ALIASES = {
    "chatkit-client": _CLIENT / "index.ts",
    "chatkit-client/react": _CLIENT / "react.ts",
    "chatkit-client/types": _CLIENT / "types.ts",
    "react": "preact/compat",
}
_BUILT_IN = (
    (node.CONSOLE, "preact"),
    (node.TYPESCRIPT, "@bufbuild/protobuf"),
    (node.TYPESCRIPT, "@connectrpc/connect"),
    (node.TYPESCRIPT, "@connectrpc/connect-web"),
)
# A package without a file of its licences, and its file that begins with the one that is not Apache-2.0.
_NOTICES = {"@bufbuild/protobuf": "dist/esm/wire/varint.js"}


def build(folder: Path) -> None:
    """Write the page, its script and its style into a folder. Raises InstallError, and CalledProcessError."""
    tools = node.packages() / ".bin"
    node.packages(node.CONSOLE)
    subprocess.run(
        [
            tools / "esbuild",
            "src/main.tsx",
            "--bundle",
            "--minify",
            "--format=esm",
            "--target=es2022",
            "--charset=utf8",
            "--legal-comments=none",
            "--log-level=warning",
            "--jsx=automatic",
            "--jsx-import-source=preact",
            *(f"--alias:{name}={target}" for name, target in _ALIASES.items()),
            f"--outfile={folder / 'console.js'}",
        ],
        cwd=node.CONSOLE,
        check=True,
    )
    shutil.copyfile(node.CONSOLE / PAGE, folder / PAGE)
    (folder / "LICENSES.txt").write_text(_licences(), encoding="utf-8")


def _licences() -> str:
    """Return the licences of what is built in, then the text of the one that several name."""
    shown = []
    for modules, name in _BUILT_IN:
        package = modules / "node_modules" / name
        licence = json.loads((package / "package.json").read_text())["license"]
        texts = [path.read_text(encoding="utf-8") for path in package.glob("LICENSE*")]
        if name in _NOTICES:
            texts.append(_opening_comment(package / _NOTICES[name]))
        shown.append("\n".join([f"{name}: {licence}", *texts]))
    # Chatkit's own is the same.
    return "\n\n".join([*shown, "Apache-2.0:\n" + (_ROOT / "LICENSE").read_text(encoding="utf-8")])


def _opening_comment(source: Path) -> str:
    lines = takewhile(lambda line: line.startswith("//"), source.read_text(encoding="utf-8").splitlines())
    return "\n".join(line.removeprefix("//").strip() for line in lines)


if __name__ == "__main__":
    try:
        BUILT.mkdir(exist_ok=True)
        build(BUILT)
    except node.InstallError as error:
        sys.exit(str(error))
