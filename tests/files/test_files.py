"""Files has no RPC yet: it is healthy, tells what it serves, and refuses everything else."""

from pathlib import Path

import grpc

from tests.support.databases import TestDatabase
from tests.support.refusals import refused
from tests.support.suite import running


async def test_files_is_healthy_and_refuses_what_it_does_not_know(database: TestDatabase, tmp_path: Path) -> None:
    async with running(database, tmp_path, "files") as suite:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = suite.channel("files").unary_unary("/chatkit.files/Get")
        await refused(call(b""), "METHOD_NOT_FOUND")
