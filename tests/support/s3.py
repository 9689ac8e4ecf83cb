"""A server that speaks S3 over HTTP and checks signatures, in a process of its own: the package nanio."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from services.stack.machine.ports import Port
from tests.support.eventually import HANG_SECONDS, until
from tests.support.folders import files_in

BUCKET = "files"
_KEY_ID, _SECRET = "key-of-the-tests", "secret-of-the-tests"


@dataclass(frozen=True)
class S3:
    """A running server with one bucket."""

    url: str
    folder: Path
    process: asyncio.subprocess.Process

    @property
    def settings(self) -> dict[str, Any]:
        """What files is told of it."""
        return {
            "s3_bucket": BUCKET,
            "s3_endpoint": self.url,
            "s3_access_key_id": _KEY_ID,
            "s3_secret_access_key": _SECRET,
        }

    async def stop(self) -> None:
        """Stop it; what it holds stays."""
        with suppress(ProcessLookupError):
            self.process.terminate()
        await self.process.wait()

    def objects(self) -> list[Path]:
        """List what lies in the bucket."""
        # The server removes folders that become empty.
        return [path for path in files_in(self.folder / BUCKET) if ".nanio" not in str(path)]


@asynccontextmanager
async def running_s3(folder: Path) -> AsyncIterator[S3]:
    """Run it on loopback."""
    (folder / BUCKET).mkdir(parents=True)
    held = Port("127.0.0.1", child="reuses address")
    host, _, port = held.address.partition(":")
    command = ("-m", "nanio", "serve", "--data-dir", str(folder), "--host", host, "--port", port)
    with (folder.parent / "s3.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *command),
            env={**os.environ, "NANIO_ACCESS_KEY": _KEY_ID, "NANIO_SECRET_KEY": _SECRET},
            stdout=log,
            stderr=log,
        )

    async def answers() -> bool:
        assert process.returncode is None, (folder.parent / "s3.log").read_text()
        try:
            await http.get(f"http://{held.address}/")
        except httpx.TransportError:
            return False
        return True

    s3 = S3(f"http://{held.address}", folder, process)
    try:
        async with httpx.AsyncClient(timeout=HANG_SECONDS, trust_env=False) as http:
            await until(answers)
        yield s3
    finally:
        await s3.stop()
        held.release()
