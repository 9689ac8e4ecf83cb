"""Each runbook's commands, typed as they stand there while a suite runs, print what stands there."""

import os
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.checks.steps import ROOT
from tests.deploy.runbooks.console import Shell, Step, steps
from tests.polyglot.tools import tool
from tests.support.eventually import until
from tests.support.stack import RunningStack

_PAGES = ROOT / "operations" / "runbooks"
_UP = "./chatkit up"
_ON_ONE_MACHINE = [
    page for page in sorted(_PAGES.glob("*.md")) if any(step.kinds <= {"up", "until"} for step in steps(page))
]


class Machine:
    """A machine on which a suite runs: the terminal of its `up`, and another one."""

    def __init__(self, folder: Path, shell: Shell, environment: dict[str, str]) -> None:
        self._folder, self._shell, self._environment = folder, shell, environment
        self.stack = RunningStack(folder)

    async def do(self, step: Step) -> None:
        """Take a step of a page, which must print what the page says."""
        if "up" in step.kinds:
            said = await self._up(step.command)
        else:
            said = await self._shell.type(step.command)
        if "until" in step.kinds and not step.fits(said):
            await until(lambda: self._fits_now(step))
        else:
            assert step.fits(said), f"{step.command}\n\nprints:\n{said}\n\nand not:\n{step.printed}"

    async def _fits_now(self, step: Step) -> bool:
        return step.fits(await self._shell.type(step.command))

    async def _up(self, command: str) -> str:
        told, is_up, options = command.partition(_UP)
        assert is_up
        await self.stack.stop()
        self.stack = RunningStack(self._folder, *shlex.split(options))
        said = len(self.stack.output)
        with pytest.MonkeyPatch.context() as patched:
            for name, _, value in (one.partition("=") for one in shlex.split(told)):
                patched.setenv(name, value)
            await self.stack.start()
        return self.stack.output[said:]


@asynccontextmanager
async def _machine(folder: Path) -> AsyncIterator[Machine]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("CHATKIT_", "PG"))}
    told = {**own, "CHATKIT_HOME": str(folder / "home"), "HOME": str(folder)}
    shell = await Shell.start(ROOT, told)
    machine = Machine(folder, shell, told)
    try:
        await machine.stack.start()
        # Something to find.
        for text in ("Hello", "Is anybody there?", "Hello"):
            assert text in await shell.type(f"./chatkit send --as alice {shlex.quote(text)}")
        yield machine
    finally:
        await shell.close()
        await machine.stack.stop()


@pytest.mark.parametrize("page", _ON_ONE_MACHINE, ids=lambda page: str(page.stem))
async def test_the_commands_of_a_page_print_what_it_says(page: Path, short_path: Path) -> None:
    tool("jq")
    async with _machine(short_path) as machine:
        for step in steps(page):
            if step.kinds <= {"up", "until"}:
                await machine.do(step)
