"""Callers who go on while processes are restarted one after the other, and how one is restarted."""

import asyncio
import signal
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import grpc

from tests.support.eventually import HANG_SECONDS, eventually
from tests.support.stack import RunningStack

Call = Callable[[int], Awaitable[Any]]


class Callers:
    """So many callers of each kind, who repeat what was UNAVAILABLE, and count what they were answered."""

    def __init__(self, callers: int) -> None:
        self._callers = callers
        self._tasks: list[asyncio.Task[None]] = []
        self.answered = 0
        # What was repeated, and why.
        self.repeated: list[str] = []
        self.failed: list[str] = []

    @abstractmethod
    def calls(self) -> Sequence[Call]:
        """List every kind of call; it is given a number of its own each time."""

    def begin(self) -> None:
        """Let every kind of call be made all the time."""
        self._tasks = [asyncio.create_task(self._go_on(call, n)) for call in self.calls() for n in range(self._callers)]

    async def end(self) -> None:
        """Stop calling, once every call under way has been answered."""
        tasks, self._tasks = self._tasks, []
        await asyncio.gather(*tasks)

    async def some_more(self, calls_of_each: int = 10) -> None:
        """Return when everyone has been answered again."""
        wanted = self.answered + calls_of_each * len(self._tasks)
        await eventually(lambda: self.answered >= wanted or self.failed)

    async def _go_on(self, call: Call, caller: int) -> None:
        number = caller
        while self._tasks and not self.failed:
            await self._once(call, number)
            number += self._callers

    async def _once(self, call: Call, number: int) -> None:
        deadline = asyncio.get_running_loop().time() + HANG_SECONDS
        while True:
            try:
                await call(number)
            except grpc.aio.AioRpcError as error:
                said = f"{call.__name__}: {error.code()} {error.details()}"
                is_passing = error.code() is grpc.StatusCode.UNAVAILABLE
                if not is_passing or asyncio.get_running_loop().time() > deadline:
                    self.failed.append(said)
                    return
                self.repeated.append(said)
                await asyncio.sleep(0.05)
            except Exception as error:  # noqa: BLE001 - whatever it was, the call has failed
                self.failed.append(f"{call.__name__}: {type(error).__name__} {error}")
                return
            else:
                self.answered += 1
                return


async def restart(stack: RunningStack, name: str) -> None:
    """End a process as a deployment does, and return when another one serves in its place."""
    before = stack.pid(name)
    log = stack.home.logs / f"{name}.log"
    readies = log.read_text().count("ready")
    stack.signal(name, signal.SIGTERM)
    await eventually(lambda: any(one.name == name and one.pid != before for one in stack.home.state().processes))
    await eventually(lambda: log.read_text().count("ready") > readies)
