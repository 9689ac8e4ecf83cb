"""Builds the console into services/edge/console, from where the edge serves it: `python clients/console/build.py`.

What is built is checked in, so that a machine that runs the suite needs no Node; a test builds it again and compares.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from protos import node

BUILT = Path(__file__).resolve().parents[2] / "services" / "edge" / "console"
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
    """Return the licences of what is built in."""
    shown = []
    for modules, name in _BUILT_IN:
        package = modules / "node_modules" / name
        licence = json.loads((package / "package.json").read_text())["license"]
        texts = [path.read_text(encoding="utf-8") for path in package.glob("LICENSE*")]
        shown.append("\n".join([f"{name}: {licence}", *texts]))
    return "\n\n".join(shown)


if __name__ == "__main__":
    try:
        BUILT.mkdir(exist_ok=True)
        build(BUILT)
    except node.InstallError as error:
        sys.exit(str(error))
