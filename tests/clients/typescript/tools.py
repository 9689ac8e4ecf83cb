"""Runs the tools of clients/typescript, with its own Node and its own packages."""

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

from protos import node

FOLDER = node.TYPESCRIPT
_BUILD = FOLDER / "build"
_SECONDS = 120


async def run(*command: str | Path, cwd: Path = FOLDER, seconds: float = _SECONDS) -> str:
    """Return what a command prints; fails with what it says when it fails."""
    process = await asyncio.create_subprocess_exec(
        *(os.fspath(part) for part in command),
        cwd=cwd,
        env=node.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(seconds):
            said, _ = await process.communicate()
    except BaseException:
        process.kill()
        raise
    assert process.returncode == 0, said.decode()
    return said.decode()


async def built() -> Path:
    """Return the folder with what the client and its tests compile to.

    It is made once for all processes that run tests, because none may find it half written.
    """
    await asyncio.to_thread(_build)
    return _BUILD


def _build() -> None:
    sources = (path for folder in ("src", "test") for path in (FOLDER / folder).rglob("*.ts"))
    wanted = node.hash_of(sorted([*sources, FOLDER / "tsconfig.json", FOLDER / "package-lock.json"]))
    compiler = node.packages() / ".bin" / "tsc"
    with node.locked(FOLDER / ".build.lock"):
        stamp = _BUILD / node.STAMP
        if not stamp.exists() or stamp.read_text() != wanted:
            shutil.rmtree(_BUILD, ignore_errors=True)
            done = subprocess.run(
                [compiler], cwd=FOLDER, env=node.environment(), capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stdout
            stamp.write_text(wanted)
