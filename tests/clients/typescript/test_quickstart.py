"""The README is right: what it prints runs and compiles as it is, in a project that has only what it says."""

import asyncio
import json
import re
from pathlib import Path

import pytest

from protos import node
from tests.clients.typescript.tools import FOLDER, run
from tests.support.edge import Edge
from tests.support.tokens import token

_INSTALL_SECONDS = 240
_COMPILED = ("--strict", "--noEmit", "--target", "es2022", "--module", "nodenext", "--types", "node")


def _quickstart() -> str:
    """Return the program that the README prints."""
    (program,) = re.findall(r"^```typescript\n(.*?)^```$", (FOLDER / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    return str(program)


async def _install(project: Path) -> None:
    """Pack the package and install it into an empty project, with what the README says."""
    await asyncio.to_thread(node.packages)
    await run(*node.npm("pack", "--pack-destination", project), seconds=_INSTALL_SECONDS)
    package = json.loads((FOLDER / "package.json").read_text())
    archive = project / f"chatkit-client-{package['version']}.tgz"
    (project / "package.json").write_text(json.dumps({"private": True, "type": "module"}))
    others = [
        f"{name}@{package['devDependencies'][name]}"
        for name in ("@connectrpc/connect-node", "typescript", "@types/node")
    ]
    options = ("--no-audit", "--no-fund", "--loglevel=error", "--no-package-lock")
    await run(*node.npm("install", *options, archive, *others), cwd=project, seconds=_INSTALL_SECONDS)


@pytest.mark.slow
async def test_the_quickstart_runs_as_printed_and_compiles_strictly(edge: Edge, tmp_path: Path) -> None:
    await _install(tmp_path)
    packed = {path.name for path in (tmp_path / "node_modules" / "chatkit-client").iterdir()}
    assert packed == {"LICENSE", "README.md", "dist", "package.json"}
    program = tmp_path / "quickstart.ts"
    program.write_text(_quickstart())
    printed = await run(node.NODE, program, f"http://{edge.address}", token("alice"), cwd=tmp_path)
    assert printed.splitlines() == ["lobby: alice, bob", "lobby, alice: Hello"]
    web = tmp_path / "web.ts"
    web.write_text(_quickstart().replace("chatkit-client/node", "chatkit-client"))
    again = await run(node.NODE, web, f"http://{edge.address}", token("bob"), cwd=tmp_path)
    assert again.splitlines() == ["lobby: alice, bob", "lobby, bob: Hello"]
    tsc = tmp_path / "node_modules" / ".bin" / "tsc"
    await run(tsc, *_COMPILED, program, web, cwd=tmp_path)
