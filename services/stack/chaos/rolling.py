"""Processes that are restarted in order: one after the other as in a deployment, or with another clock."""

import random
import signal
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from services.stack.chaos.database import END_SECONDS
from services.stack.chaos.steps import Disturbance, Losses
from services.stack.chaos.suite import Suite
from services.stack.machine.replicas import names, process_names
from services.stack.roles import SERVICES

_FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
_RIGHT = "+0\n"


def roll(chance: random.Random, replicas: Mapping[str, int]) -> Disturbance:
    """Choose a service whose processes are restarted one after the other."""
    service = chance.choice(SERVICES)
    touched = frozenset(names(service, replicas[service]))
    return Disturbance(f"{service} is restarted, one process after the other", touched, 0, partial(_rolled, service))


def clock(chance: random.Random, replicas: Mapping[str, int]) -> Disturbance:
    """Choose a process whose clock jumps by some minutes, and back."""
    name, minutes = chance.choice(process_names(replicas)), chance.choice([-1, 1]) * chance.randint(2, 15)
    told = f"the clock of {name} is {abs(minutes)} minutes {'ahead' if minutes > 0 else 'behind'}"
    return Disturbance(told, frozenset({name}), chance.uniform(1, 4), partial(_wrong, name, minutes * 60))


def without_faketime(_suite: Suite) -> str:
    """Say why no clock can be wrong, where libfaketime is not installed."""
    return "" if _FAKETIME else "libfaketime is not installed (apt-get install libfaketime)"


@asynccontextmanager
async def _rolled(service: str, suite: Suite, _losses: Losses) -> AsyncIterator[None]:
    for name in names(service, suite.replicas[service]):
        await _restart(suite, name)
        await suite.until_serving(name)
    yield


@asynccontextmanager
async def _wrong(name: str, seconds: int, suite: Suite, _losses: Losses) -> AsyncIterator[None]:
    with tempfile.TemporaryDirectory(prefix="chatkit-") as folder:
        time = Path(folder) / "time"
        time.write_text(_RIGHT, encoding="ascii")
        child = suite.child(name)
        child.told.update(_faked(time))
        try:
            await _restart(suite, name)
            await suite.until_serving(name)
            time.write_text(f"{seconds:+d}\n", encoding="ascii")
            yield
            time.write_text(_RIGHT, encoding="ascii")
        finally:
            child.told.clear()
            await _restart(suite, name)


def _faked(time: Path) -> dict[str, str]:
    return {
        "LD_PRELOAD": str(_FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(time),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


async def _restart(suite: Suite, name: str) -> None:
    """Restart a process as a deployment does."""
    async with suite.child(name).down(signal.SIGTERM, END_SECONDS):
        pass
