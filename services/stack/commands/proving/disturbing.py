"""What is done to a suite while it is checked, and what has become of it."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from services.stack.chaos.kinds import split
from services.stack.chaos.schedule import schedule
from services.stack.chaos.steps import Kind, Step
from services.stack.chaos.suite import Suite
from services.stack.proof.recording import Recording
from services.stack.trouble import Trouble

# Between two disturbances all goes well for a while.
_CALM_SECONDS = (0.5, 2.0)


@dataclass
class Disturbing:
    """Disturbs a suite, one step after the other; `survived` counts those of each kind of which it has recovered."""

    suite: Suite
    steps: Iterator[Step]
    chance: random.Random
    survived: Counter[str] = field(default_factory=Counter)
    # Why some kinds can't be caused here, by their names.
    left_out: dict[str, str] = field(default_factory=dict)

    async def __call__(self, recording: Recording, until: float) -> list[str]:
        """Disturb it until a time, and say by what; one step at least, and none is broken off."""
        told: list[str] = []
        while not told or time.monotonic() < until:
            await asyncio.sleep(self.chance.uniform(*_CALM_SECONDS))
            step = next(self.steps)
            with recording.disturbed():
                await step.cause(self.suite)
                if step.loses_since is not None:
                    recording.lose(step.loses_since, time.monotonic())
            self.survived[step.kind] += 1
            told.append(step.name)
        return told


def disturbing(suite: Suite, kinds: Sequence[Kind], seed: int) -> Disturbing:
    """Disturb a suite by those of these kinds that can be caused here."""
    possible, left_out = split(list(kinds), suite)
    if not possible:
        raise Trouble("; ".join(f"{name}: {why}" for name, why in left_out.items()))
    steps = schedule(seed, possible, suite.replicas)
    return Disturbing(suite, steps, random.Random(seed), left_out=left_out)
