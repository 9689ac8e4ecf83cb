"""neighbours: honest users go on while one client, or a few, do the worst that the limits allow them.

They are measured alone first, which is what each attack is compared with, then beside one attack after the other, and
at last beside all of them at once.
The limits of rate are in force. Attackers have a process of their own that gives way to all others, because on a small
machine the neighbours would else wait for its CPU.
"""

import asyncio
import http.client
import re
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import grpc

from benchmarks.figures import Figure, Options
from benchmarks.load.attacks.attacking import attacking
from benchmarks.load.jobs import AttackJob, NeighboursJob
from benchmarks.load.neighbours import neighbours
from benchmarks.load.process import Companion, companion
from benchmarks.suite import Suite
from benchmarks.usage import MemoryMeter
from benchmarks.workloads import attacks
from benchmarks.workloads.attacks import ATTACKS, Ground
from services.stack.roles import SERVICES

__all__ = ("ATTACKS", "NAME", "QUIET", "run")

NAME = "neighbours"
QUIET, QUIET_AGAIN, AT_ONCE, AT_THE_END = "quiet", "quiet again", "all at once", "at the end"
WATCHED = ("edge", *SERVICES)
_MEMBERS = 8
_SENDS_PER_SECOND, _READS_PER_SECOND, _UPLOADS_PER_SECOND = 40.0, 10.0, 1.0
_NICENESS = 10
_QUIET_LONGER = 2
# What is called for the first time takes long, and all is compared with what comes next.
_WARM_UP_LONGER = 5
_LOOK_SECONDS = 0.2
# After an attack it is waited until nothing has failed for a while, so that the next one is not blamed.
_CALM_SECONDS, _MOST_RECOVERY_SECONDS = 3.0, 60.0
_PAUSE_SECONDS, _QUICK_PAUSE_SECONDS = 5.0, 0.3
_AFTER_ALL_SECONDS, _QUICK_AFTER_ALL_SECONDS = 120.0, 1.0
# Both are shorter where what is measured is.
_AFTER_ALL_WINDOWS = 24
_MB = 1_000_000
_ASK_SECONDS = 30.0
_GAUGES = re.compile(
    r'envoy_http_downstream_(cx|rq)_(active|total){envoy_http_conn_manager_prefix="edge"} (\d+)', re.MULTILINE
)
_NAMES = {"cx": "connections", "rq": "calls"}


async def run(suite: Suite, options: Options) -> list[Figure]:
    """Measure the neighbours alone, beside each attack, and alone again."""
    chosen = [name for name in ATTACKS if name in options.attacks or not options.attacks]
    user_ids = await asyncio.to_thread(suite.seeding.users, f"{NAME}-user-", _MEMBERS)
    (room_id,) = await asyncio.to_thread(suite.seeding.rooms, f"{NAME}-", 1, user_ids)
    await asyncio.to_thread(suite.seeding.settle)
    job = NeighboursJob(
        address=suite.edge,
        room_id=room_id,
        members=[(user_id, suite.token(user_id)) for user_id in user_ids],
        sends_per_second=_SENDS_PER_SECOND,
        reads_per_second=_READS_PER_SECOND,
        uploads_per_second=_UPLOADS_PER_SECOND,
        namespace=suite.namespace(),
    )
    async with (
        companion(neighbours, job) as honest,
        grpc.aio.insecure_channel(suite.edge, options=attacks.NO_PROXY) as channel,
    ):
        trial = _Trial(suite, options, honest, Ground(suite, options, channel, user_ids[0]))
        return await trial.run(chosen)


class _Trial:
    def __init__(self, suite: Suite, options: Options, honest: Companion, ground: Ground) -> None:
        self._suite = suite
        self._options = options
        self._honest = honest
        self._ground = ground
        self._figures = _Figures(suite.metrics)
        self._pause = _QUICK_PAUSE_SECONDS if options.quick else min(_PAUSE_SECONDS, options.seconds)

    async def run(self, chosen: list[str]) -> list[Figure]:
        await self._honest.ask("open")
        await asyncio.sleep(self._options.warm_up * _WARM_UP_LONGER)
        await self._honest.ask("tell")
        start = self._memory()
        found = {QUIET: await self._alone(QUIET)}
        for number, name in enumerate(chosen if not self._options.at_once else (), 1):
            self._suite.say(f"{NAME}: {name} ({number} of {len(chosen)}): {ATTACKS[name].said}")
            found[name] = await self._beside([name])
        if self._options.at_once or len(chosen) > 1:
            self._suite.say(f"{NAME}: all {len(chosen)} at once")
            found[AT_ONCE] = await self._beside(chosen)
        found[QUIET_AGAIN] = await self._alone(QUIET_AGAIN)
        seconds = min(_AFTER_ALL_SECONDS, _AFTER_ALL_WINDOWS * self._options.seconds)
        seconds = _QUICK_AFTER_ALL_SECONDS if self._options.quick else seconds
        self._suite.say(f"{NAME}: what is left after {seconds:g} s")
        await asyncio.sleep(seconds)
        memory = {"before": start, "after": self._memory()}
        found[AT_THE_END] = {**await self._honest.ask("tell"), "memory_mb": memory, "after_seconds": seconds}
        # Where somebody else uses the machine as well, the quieter one of both is what the suite itself does.
        quiet_ms = min(found[QUIET]["p99_ms"], found[QUIET_AGAIN]["p99_ms"])
        return [_figure(case, one, quiet_ms) for case, one in found.items()]

    def _memory(self) -> dict[str, float]:
        return _megabytes(MemoryMeter(self._watched()).look())

    def _watched(self) -> dict[str, int]:
        groups = self._suite.groups
        return {name: groups[name] for name in WATCHED}

    async def _alone(self, case: str) -> dict[str, Any]:
        self._suite.say(f"{NAME}: {case}")
        await self._window(self._options.seconds * _QUIET_LONGER)
        return await self._honest.ask("tell")

    async def _window(self, seconds: float) -> None:
        await self._honest.ask("open")
        await asyncio.sleep(seconds)
        await self._honest.ask("close")

    async def _beside(self, names: Sequence[str]) -> dict[str, Any]:
        """Measure beside attacks that are at their full size, and what they leave."""
        party = _Party(names)
        await party.prepare(self._ground)
        # What was noticed while it was prepared says nothing of it.
        await self._honest.ask("tell")
        processes = self._watched()
        meter = MemoryMeter(processes)
        before, seen = meter.look(), await self._figures.read()
        async with party.ready(), _watching(meter):
            await party.begin()
            held = _held(seen, await self._figures.read())
            await self._window(self._options.seconds)
            await party.tell()
            kept = _held(seen, await self._figures.read())
        recovery = await self._recovered()
        after = meter.look()
        found = await self._honest.ask("tell")
        ended = [name for name, pid in self._watched().items() if pid != processes[name]]
        return {
            **found,
            "reached": party.reached,
            "edge_sees": held,
            "edge_keeps": kept,
            "wanted": party.wanted,
            # An attack that has not come proves nothing.
            "too_small": party.too_small,
            "recovery_seconds": recovery,
            "ended_processes": ended,
            "memory_mb": {
                "before": _megabytes(before),
                "most": _megabytes(meter.most),
                "after": _megabytes(after),
            },
        }

    async def _recovered(self) -> float:
        """Wait until nothing fails any more, for a pause at least; return how long after the attack something did."""
        gone = time.monotonic()
        await asyncio.sleep(self._pause)
        while True:
            now, calm = time.monotonic(), (await self._honest.ask("calm"))["seconds"]
            if calm >= min(_CALM_SECONDS, self._pause) or now - gone > _MOST_RECOVERY_SECONDS:
                return float(max(0.0, now - calm - gone))
            await asyncio.sleep(_LOOK_SECONDS)


class _Party:
    """Attacks that come together, each in a process of its own; mostly it is one."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._attacks = [ATTACKS[name] for name in names]
        self._jobs: list[tuple[AttackJob, float]] = []
        self._companions: list[Companion] = []
        self._most: list[float] = [0.0] * len(names)
        self._found: list[dict[str, Any]] = [{} for _ in names]

    async def prepare(self, ground: Ground) -> None:
        """Make whatever they need."""
        for attack in self._attacks:
            self._jobs.append(await attack.prepare(ground))

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[None]:
        """Let their processes run, which do nothing yet."""
        async with AsyncExitStack() as stack:
            for job, _ in self._jobs:
                self._companions.append(await stack.enter_async_context(companion(attacking, job, _NICENESS)))
            yield

    async def begin(self) -> None:
        """Let them come to their full size."""
        for late in (False, True):
            await self._ask("begin", [index for index, one in enumerate(self._attacks) if one.begins_last is late])

    async def tell(self) -> None:
        """Let them tell how far they have come."""
        await self._ask("found", range(len(self._attacks)))

    async def _ask(self, question: str, indices: Sequence[int]) -> None:
        answers = await asyncio.gather(*(self._companions[index].ask(question) for index in indices))
        for index, answer in zip(indices, answers, strict=True):
            self._found[index] = answer
            self._most[index] = max(self._most[index], answer[self._attacks[index].counted])

    @property
    def reached(self) -> dict[str, Any]:
        """What has come of them; of several, how much of each has come."""
        return self._found[0] if len(self._names) == 1 else dict(zip(self._names, self._most, strict=True))

    @property
    def wanted(self) -> float:
        """How much had to come."""
        return sum(wanted for _, wanted in self._jobs)

    @property
    def too_small(self) -> int:
        """How much of it is missing. Several share what there is for all of them, so it is said of one only."""
        (_, wanted), most = self._jobs[0], self._most[0]
        return round(max(0.0, wanted - most)) if len(self._names) == 1 else 0


@asynccontextmanager
async def _watching(meter: MemoryMeter) -> AsyncIterator[None]:
    async def look() -> None:
        while True:
            meter.look()
            await asyncio.sleep(_LOOK_SECONDS)

    looking = asyncio.create_task(look())
    try:
        yield
    finally:
        looking.cancel()


class _Figures:
    """The edge's own counts of what is open there, over a connection that was there before every attack."""

    def __init__(self, address: str) -> None:
        self._connection = http.client.HTTPConnection(address, timeout=_ASK_SECONDS)

    async def read(self) -> dict[str, int]:
        """Return the counts; empty when the edge does not tell them now."""
        return await asyncio.to_thread(self._read)

    def _read(self) -> dict[str, int]:
        for _ in range(2):
            with suppress(OSError, http.client.HTTPException):
                self._connection.request("GET", "/stats/prometheus")
                text = self._connection.getresponse().read().decode()
                return {f"{_NAMES[what]}_{kind}": int(count) for what, kind, count in _GAUGES.findall(text)}
            self._connection.close()
        return {}


def _held(before: Mapping[str, int], now: Mapping[str, int]) -> dict[str, int]:
    """Return what is open at the edge more than before, and what has come there since."""
    return {name: now[name] - before.get(name, 0) for name in now}


def _megabytes(sizes: Mapping[str, int]) -> dict[str, float]:
    return {name: size / _MB for name, size in sizes.items()}


def _figure(case: str, found: Mapping[str, Any], quiet_ms: float) -> Figure:
    # A machine can't serve all attacks of all attackers at once: then its processes live, lose nothing, and keep their
    # memory.
    failed = sum(found["failures"].values()) + found["late"] if case != AT_ONCE else 0
    details = {
        **{name: value for name, value in found.items() if name not in {"p50_ms", "p99_ms"}},
        "failed": failed + len(found.get("ended_processes", ())),
        "p99_to_quiet": found["p99_ms"] / quiet_ms if quiet_ms else 0.0,
    }
    rate = found["count"] / found["seconds"] if found["count"] else 0.0
    return Figure(
        NAME,
        case,
        "edge",
        "call",
        per_second=rate,
        p50_ms=found["p50_ms"],
        p99_ms=found["p99_ms"],
        details=details,
    )
