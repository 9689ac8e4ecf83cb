"""Commands as somebody types them, against a suite that runs."""

import asyncio
import sys

from tests.support.eventually import HANG_SECONDS
from tests.support.stack import RunningStack


async def run_chatkit(stack: RunningStack, *arguments: str, typed: bytes = b"") -> tuple[int, str, str]:
    """Run a command against a stack, with something on its standard input: return its status and what it printed."""
    process = await start_chatkit(stack, *arguments)
    async with asyncio.timeout(HANG_SECONDS):
        out, err = await process.communicate(typed)
    return process.returncode or 0, out.decode(), err.decode()


async def start_chatkit(stack: RunningStack, *arguments: str) -> asyncio.subprocess.Process:
    """Start a command against a stack, with pipes."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.stack", *arguments, "--home", str(stack.home.folder)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
