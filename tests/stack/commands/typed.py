"""Commands as somebody types them, against a suite that runs."""

import argparse
import asyncio
import sys
from collections.abc import Iterator

from services.stack import cli
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


def commands(
    parser: argparse.ArgumentParser | None = None, words: str = ""
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Yield every command as somebody types it, and its parser; a command that has commands is none itself."""
    parser = parser or cli._parser()
    choices = [action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not choices:
        yield words, parser
    for name, inner in choices[0].items() if choices else ():
        yield from commands(inner, f"{words} {name}".strip())
