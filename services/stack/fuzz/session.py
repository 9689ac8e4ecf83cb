"""A whole run: the suite, the world, inputs, and what is looked at while they are sent and afterwards."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

from services.runtime.contract.policies import Limits
from services.stack.fuzz.judge import Rule
from services.stack.fuzz.making.callers import SUPERUSER
from services.stack.fuzz.making.known import USERS
from services.stack.fuzz.making.maker import Maker
from services.stack.fuzz.run import Fuzzing, Report
from services.stack.fuzz.sending import Sending
from services.stack.fuzz.suite import Say, Suite, running
from services.stack.fuzz.watching.holdings import Holding, grown, holdings
from services.stack.fuzz.watching.logs import Logs
from services.stack.fuzz.watching.neighbour import NEIGHBOUR, Neighbour
from services.stack.fuzz.world import World

_ANSWER_SECONDS = 20.0
_MEND_SECONDS, _SAY_SECONDS, _LOOK_SECONDS = 5.0, 10.0, 1.0
# What is held is compared from then on; and how long there is for giving it back.
_WARM_SHARE, _SETTLING_SECONDS = 0.3, 45.0
# In less nothing is warm, and nothing can be said of what is held.
_SHORTEST_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What is sent: the inputs of a seed for so long, or one of them."""

    seed: int
    seconds: float
    only: int | None = None


async def fuzz(plan: Plan, say: Say) -> Report:
    """Run a suite, send it inputs, and return what was found."""
    report = Report(plan.seed)
    began = time.monotonic()

    def heard(text: str) -> None:
        say(text)
        report.hear(text)

    async with running(heard) as suite, _prepared(suite) as prepared:
        await _Session(suite, *prepared, report, say).run(plan)
        # What is stopped ends, which is no finding.
        report.close(time.monotonic() - began)
    return report


@asynccontextmanager
async def _prepared(suite: Suite) -> AsyncIterator[tuple[World, Neighbour]]:
    async with AsyncExitStack() as stack:
        callers = (SUPERUSER, USERS[0], NEIGHBOUR)
        admin, owner, friend = [await stack.enter_async_context(suite.client(caller)) for caller in callers]
        world, neighbour = World(admin, owner), Neighbour(friend, admin)
        await world.mend()
        await stack.enter_async_context(world.open_stream())
        await neighbour.prepare()
        yield world, neighbour


class _Session:
    """A suite that runs, and what is looked at."""

    def __init__(self, suite: Suite, world: World, neighbour: Neighbour, report: Report, say: Say) -> None:
        self._suite = suite
        self._world = world
        self._neighbour = neighbour
        self._report = report
        self._say = say
        self._logs = Logs(suite.home.logs)
        self._numbers = count()

    async def run(self, plan: Plan) -> None:
        """Send, and look what it has come to."""
        known = await self._world.make()
        sending = Sending(self._suite.addresses, self._suite.signing, _ANSWER_SECONDS)
        maker = Maker(plan.seed, Limits.from_environ(os.environ), known)
        fuzzing = Fuzzing(maker, sending, self._report, lambda: self._suite.is_alive(_ANSWER_SECONDS))
        self._logs.skip()
        async with _beside(self._neighbour.run(), self._mend(), self._look_again(), self._tell()):
            if plan.only is not None:
                await fuzzing.send(maker.input(plan.only))
            else:
                await self._send(plan.seconds, fuzzing)
        self._look()
        for failure in self._neighbour.failures:
            self._report.find(Rule.NEIGHBOUR, "a neighbour", failure)
        self._report.neighbour_calls = self._neighbour.calls
        self._report.neighbour_slowest = self._neighbour.slowest

    async def _send(self, seconds: float, fuzzing: Fuzzing) -> None:
        cold = holdings(self._suite.home)
        now = time.monotonic()
        await fuzzing.send_all(self._numbers, now + seconds * _WARM_SHARE)
        warm = await self._settled(cold)
        await fuzzing.send_all(self._numbers, now + seconds)
        held = await self._settled(warm)
        if seconds >= _SHORTEST_SECONDS:
            for what in grown(warm, held):
                self._report.find(Rule.KEPT, what.split()[0], what)

    async def _settled(self, before: dict[str, Holding]) -> dict[str, Holding]:
        """Return what is held when everything was given back, or had the time for it; streams as before."""
        until = time.monotonic() + _SETTLING_SECONDS
        held = await asyncio.to_thread(holdings, self._suite.home)
        while any(grown(before, held)) and time.monotonic() < until:
            await asyncio.sleep(_LOOK_SECONDS)
            held = await asyncio.to_thread(holdings, self._suite.home)
        return held

    async def _mend(self) -> None:
        while True:
            await asyncio.sleep(_MEND_SECONDS)
            await self._world.mend()

    async def _look_again(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            await asyncio.to_thread(self._look)

    async def _tell(self) -> None:
        began = time.monotonic()
        while True:
            await asyncio.sleep(_SAY_SECONDS)
            seconds = time.monotonic() - began
            self._say(f"{seconds:.0f} s: {self._report.calls:,} inputs, {len(self._report.findings)} findings")

    def _look(self) -> None:
        for name, failure in self._logs.failures():
            self._report.find(Rule.LOGGED, f"the log of {name}", failure)


@asynccontextmanager
async def _beside(*works: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Do some work for as long as the context is open; an error in it is raised at the end."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    for one in ended:
        if isinstance(one, Exception):
            raise one
