"""A suite on one machine that is there to be disturbed, run in this process."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from services.stack.chaos.disks import Disks, small_disks
from services.stack.chaos.links import POSTGRES, Link, links
from services.stack.chaos.probe import what_fails
from services.stack.chaos.relays import SOCKET, Relays, relaying
from services.stack.home import Home
from services.stack.machine.health import health_of
from services.stack.machine.leftovers import end_leftovers
from services.stack.machine.supervisor import Child, Say
from services.stack.machine.up import Stack
from services.stack.trouble import Trouble

_RECOVERY_SECONDS = 120.0
# So much of each log is told when it does not recover.
_LAST_LINES = 5
_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Suite:
    """A suite that runs, and what it takes to disturb it; without relays its links are left alone."""

    home: Home
    replicas: Mapping[str, int]
    stack: Stack
    say: Say
    relays: Relays | None = None
    disks: Disks | None = None
    # How long the tokens of its clients live. An old key is taken away after that; without it, it stays beside the new.
    token_seconds: float | None = None

    def child(self, name: str) -> Child:
        """Return a process that is no PostgreSQL."""
        return self.stack.children[name]

    async def until_serving(self, name: str, seconds: float = _RECOVERY_SECONDS) -> None:
        """Return when a process is healthy, or after so many seconds as Trouble."""
        began = time.monotonic()
        while not await health_of(name)(self.child(name).program.address):
            if time.monotonic() - began > seconds:
                raise Trouble(f"{name} is not healthy {seconds:.0f} s after it was started again")
            await asyncio.sleep(_POLL_SECONDS)

    async def until_healthy(self, after: str, seconds: float = _RECOVERY_SECONDS) -> float:
        """Return how long it took until all processes are healthy and calls of each service succeed."""
        began = time.monotonic()
        while ailing := await self._ailing():
            if time.monotonic() - began > seconds:
                told = f"{seconds:.0f} s after {after} the suite is not healthy: {ailing}"
                raise Trouble("\n".join([told, *self._last_words()]))
            await asyncio.sleep(_POLL_SECONDS)
        return time.monotonic() - began

    def _last_words(self) -> list[str]:
        """Return how the processes' logs end, which are gone when the suite is."""
        logs = sorted(self.home.logs.glob("*.log"))
        return [
            f"{log.stem}: {line}"
            for log in logs
            for line in log.read_text(errors="replace").splitlines()[-_LAST_LINES:]
        ]

    async def _ailing(self) -> str:
        if unhealthy := await self.stack.ailing():
            return ", ".join(unhealthy)
        return await what_fails(self.home, self.stack.address)


@asynccontextmanager
async def disturbed(
    folder: Path, replicas: Mapping[str, int], say: Say, *, through_relays: bool = True, on_small_disks: bool = True
) -> AsyncIterator[Suite]:
    """Run a suite in a home of its own while the context is open.

    With relays every link between two processes goes through one. On small disks its database, logs and content are on
    file systems that can be filled, where this user may mount those.
    """
    home = Home(folder)
    home.prepare()
    async with AsyncExitStack() as opened:
        if not opened.enter_context(home.lock()):
            raise Trouble(f"{home.folder} has a suite that runs already")
        end_leftovers(home, say)
        disks = await opened.enter_async_context(small_disks(home)) if on_small_disks else None
        stack = Stack(home, 0, replicas, say)
        opened.callback(stack.release)
        opened.callback(stack.postgres.close)
        relays = None
        if through_relays:
            relays = await opened.enter_async_context(relaying(_targets(stack, replicas)))
            stack.ways.update(relays.ways)
        await opened.enter_async_context(stack.running())
        yield Suite(home, replicas, stack, say, relays, disks)


def _targets(stack: Stack, replicas: Mapping[str, int]) -> dict[Link, str]:
    socket = str(stack.postgres.socket_folder / SOCKET)
    return {link: socket if link[1] == POSTGRES else stack.addresses[link[1]] for link in links(replicas)}
