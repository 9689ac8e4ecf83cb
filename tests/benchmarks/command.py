"""`./chatkit bench` as a process, and what it may have left behind."""

import asyncio
import os
import sys
from pathlib import Path

import psutil

SECONDS = 120.0


async def start(folder: Path, *arguments: str) -> asyncio.subprocess.Process:
    """Run the command, which makes its temporary folder in `folder`."""
    with (folder / "err").open("wb") as err:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks", *arguments),
            env={**os.environ, "TMPDIR": str(folder)},
            stdout=asyncio.subprocess.PIPE,
            stderr=err,
            start_new_session=True,
        )


def left_behind(folder: Path) -> list[str]:
    """List processes and folders of a run that has ended."""
    lines = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    return [line for line in lines if str(folder) in line] + [path.name for path in folder.iterdir() if path.is_dir()]
