"""Runs the tools of clients/typescript, with its own Node and its own packages."""

import asyncio
import os
import subprocess
from pathlib import Path

from protos import node

FOLDER = node.TYPESCRIPT
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


async def tsc(*arguments: str, cwd: Path = FOLDER) -> None:
    """Compile a project, which must be without fault."""
    packages = await asyncio.to_thread(node.packages)
    await run(packages / ".bin" / "tsc", *arguments, cwd=cwd)
