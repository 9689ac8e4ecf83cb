"""The examples for grpcurl make their calls: as no package has grpcurl, `buf curl` runs them, by the same author.

It takes the same headers, JSON and names, and asks the edge for the contract by the same reflection.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

from services.edge.reference import examples
from services.edge.reference.contract import Method, methods
from tests.support.edge import Edge
from tests.support.eventually import HANG_SECONDS
from tests.support.reference_world import World, world

_BUF = str(Path(sys.executable).parent / "buf")
# What stands for grpcurl: -plaintext -H HEADER -d JSON ADDRESS METHOD.
_GRPCURL = """
grpcurl() {
    [ "$1 $2 $4 $#" = "-plaintext -H -d 7" ] || exit 2
    exec "$BUF" curl --protocol grpc --http2-prior-knowledge -H "$3" -d "$5" "http://$6/$7"
}
"""


async def test_grpcurl_makes_every_call_as_it_is_printed(edge: Edge, tmp_path: Path) -> None:
    async with world(edge, 4) as made:
        for method in methods():
            assert await _answer(made, method, tmp_path) is not None, method.full_name


async def _answer(made: World, method: Method, folder: Path) -> object:
    """Run a command of a shell, and return the first answer."""
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", f"{_GRPCURL}{made.here(examples.grpcurl(method))}"),
        env={**os.environ, "TOKEN": made.token(method), "BUF": _BUF, "BUF_CACHE_DIR": str(folder)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    lines = []
    async with asyncio.timeout(HANG_SECONDS):
        # An answer ends with the bracket at the beginning of a line.
        async for line in process.stdout:
            lines.append(line)
            if line in {b"}\n", b"{}\n"}:
                break
    if not lines:
        raise AssertionError(f"{method.full_name}: {(await process.stderr.read()).decode()}")
    if process.returncode is None and method.contract.streams:
        process.kill()
    await process.communicate()
    return json.loads(b"".join(lines))
