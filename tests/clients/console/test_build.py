"""What the edge serves is what the console's sources build, which is small, and their own tests pass."""

import asyncio
import gzip
import importlib.util
import json
from pathlib import Path
from types import ModuleType

from protos import node
from services.stack.shipped.components import CONSOLE
from tests.clients.typescript.tools import run
from tests.contract.descriptors import ROOT

_MOST_BYTES = 150_000
_BUILT = ("index.html", "console.js", "console.css", "LICENSES.txt")


def _builder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("console_build", node.CONSOLE / "build.py")
    assert spec is not None
    assert spec.loader is not None
    builder = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(builder)
    return builder


def test_what_is_checked_in_is_what_is_built(tmp_path: Path) -> None:
    builder = _builder()
    builder.build(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(_BUILT)
    for name in _BUILT:
        assert (tmp_path / name).read_bytes() == (builder.BUILT / name).read_bytes(), (
            "run: .venv/bin/python clients/console/build.py"
        )


def test_the_licences_are_of_all_that_is_built_in_and_in_the_sbom() -> None:
    builder = _builder()
    built_in = {name: folder for folder, name in builder._BUILT_IN}
    assert built_in == {name: ROOT / "clients" / folder for name, folder in CONSOLE.items()}
    text = (builder.BUILT / "LICENSES.txt").read_text()
    assert all(f"{name}: " in text for name in built_in)
    for words in ("Permission is hereby granted", "Redistributions in binary form must", "Apache License"):
        assert words in text


def test_what_a_browser_fetches_is_small() -> None:
    fetched = (ROOT / "services" / "edge" / "console" / name for name in _BUILT if not name.endswith(".txt"))
    assert sum(len(gzip.compress(path.read_bytes(), mtime=0)) for path in fetched) < _MOST_BYTES


async def test_its_sources_compile_strictly() -> None:
    packages = await asyncio.to_thread(node.packages)
    await asyncio.to_thread(node.packages, node.CONSOLE)
    await run(packages / ".bin" / "tsc", "--project", node.CONSOLE)


async def test_its_own_tests_pass(tmp_path: Path) -> None:
    packages = await asyncio.to_thread(node.packages)
    await asyncio.to_thread(node.packages, node.CONSOLE)
    tests = sorted((node.CONSOLE / "test").glob("*.test.ts"))
    assert tests
    options = ("--bundle", "--platform=node", "--format=esm", "--out-extension:.js=.mjs", "--log-level=warning")
    client = node.TYPESCRIPT / "src"
    aliases = [
        f"--alias:chatkit-client{name}={client / file}" for name, file in (("", "index.ts"), ("/types", "types.ts"))
    ]
    await run(packages / ".bin" / "esbuild", *tests, *options, *aliases, f"--outdir={tmp_path}", cwd=node.CONSOLE)
    await run(node.NODE, "--test", "--test-reporter=spec", *(tmp_path / f"{test.stem}.mjs" for test in tests))


def test_its_version_is_the_suites_and_its_packages_are_pinned() -> None:
    own, client = (json.loads((folder / "package.json").read_text()) for folder in (node.CONSOLE, node.TYPESCRIPT))
    assert own["version"] == client["version"]
    lock = json.loads((node.CONSOLE / "package-lock.json").read_text())
    installed = [entry for path, entry in lock["packages"].items() if path]
    assert {entry["version"] for entry in installed} >= set((own["dependencies"] | own["devDependencies"]).values())
    assert all("integrity" in entry and "resolved" not in entry for entry in installed)
