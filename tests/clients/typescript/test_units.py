"""The TypeScript client's own tests pass, and a page that has the client is small."""

import asyncio
import gzip
from pathlib import Path

from protos import node
from tests.clients.typescript.tools import built, run

# What a page loads for it: the client, protobuf-es and Connect.
_MOST_BYTES = 75_000
_PAGE = 'import { connect } from "chatkit-client"; globalThis.session = connect("http://localhost", "token").session();'


async def test_its_own_tests_pass() -> None:
    tests = sorted((await built() / "test").glob("*.test.js"))
    assert tests
    await run(node.NODE, "--test", "--test-force-exit", "--test-reporter=spec", *tests)


async def test_a_page_that_has_it_is_small(tmp_path: Path) -> None:
    client = await built() / "src" / "index.js"
    packages = await asyncio.to_thread(node.packages)
    page, bundle = tmp_path / "page.js", tmp_path / "bundle.js"
    page.write_text(_PAGE)
    alias = f"--alias:chatkit-client={client}"
    await run(packages / ".bin" / "esbuild", page, "--bundle", "--minify", "--format=esm", alias, f"--outfile={bundle}")
    assert len(gzip.compress(bundle.read_bytes(), mtime=0)) < _MOST_BYTES
