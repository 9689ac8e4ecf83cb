"""What can be done to a suite, and one time at which it is done."""

import asyncio
import random
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from services.stack.chaos.suite import Suite


@dataclass
class Losses:
    """What a disturbance takes away by intent, told to whoever judges what clients have seen meanwhile."""

    # What was acknowledged after this moment may be gone, by the monotonic clock.
    since: float | None = None
    # Whether positions of before are of another log.
    is_new_epoch: bool = False


Happening = Callable[[Suite, Losses], AbstractAsyncContextManager[None]]


@dataclass(frozen=True, slots=True)
class Disturbance:
    """One thing that happens: it is caused when the context is entered, and has ended when that is left."""

    # A sentence without its end: "messages-1 is killed".
    name: str
    # What it needs for itself; two that touch the same can't happen at once.
    touches: frozenset[str]
    # For how long the context stays open.
    seconds: float
    happening: Happening


def _always(_suite: Suite) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Kind:
    """Things of one kind, of which `choose` makes one by chance, for so many processes of each service."""

    name: str
    sentence: str
    choose: Callable[[random.Random, Mapping[str, int]], Disturbance]
    # Why it can't be caused here, in a sentence; empty where it can.
    why_not: Callable[[Suite], str] = field(default=_always)


class Step:
    """One or two disturbances at once, of which a suite recovers."""

    def __init__(self, kind: str, disturbances: tuple[Disturbance, ...]) -> None:
        self.kind = kind
        self.name = ", and ".join(one.name for one in disturbances)
        self._disturbances = disturbances
        self._losses = Losses()

    def __repr__(self) -> str:
        """Say all that was chosen."""
        return f"{self.kind}: {self.name}, for {[round(one.seconds, 2) for one in self._disturbances]} s"

    @property
    def loses_since(self) -> float | None:
        """From which monotonic time on acknowledged writes may be gone, by intent, up to the end of the step."""
        return self._losses.since

    @property
    def is_new_epoch(self) -> bool:
        """Whether logs were begun anew: positions of before are answered with snapshots."""
        return self._losses.is_new_epoch

    async def cause(self, suite: Suite) -> None:
        """Let it happen, and return when it has ended and the suite is healthy again; a cancellation ends it, too."""
        suite.say(self.name)
        try:
            async with asyncio.TaskGroup() as group:
                for one in self._disturbances:
                    group.create_task(self._hold(suite, one))
        except ExceptionGroup as errors:
            # Those that happen at once fail at once; the first is enough.
            raise errors.exceptions[0] from None
        seconds = await suite.until_healthy(self.name)
        suite.say(f"healthy again {seconds:.1f} s after its end")

    async def _hold(self, suite: Suite, one: Disturbance) -> None:
        async with one.happening(suite, self._losses):
            await asyncio.sleep(one.seconds)
