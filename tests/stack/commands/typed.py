"""Commands as somebody types them, against a suite that runs."""

import asyncio
import sys

from tests.support.eventually import HANG_SECONDS
from tests.support.stack import RunningStack


async def run_chatkit(stack: RunningStack, *arguments: str) -> tuple[int, str, str]:
    """Run a command against a stack: return its status and what it printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.stack", *arguments, "--home", str(stack.home.folder)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(HANG_SECONDS):
        out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()
