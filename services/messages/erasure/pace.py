"""How fast a long job goes: half of the time is left to others, who would wait for it otherwise."""

from collections.abc import Awaitable

from services.runtime.clock import Clock
from services.runtime.steps import Leisure

# Somebody may wait for what is over after so many steps.
HURRIED_STEPS = 8


class JobPace:
    """The pace of one job: its first steps hurry, and each of the others is followed by a rest."""

    def __init__(self, clock: Clock) -> None:
        self._now = clock.monotonic
        self._leisure = Leisure(now=clock.monotonic, sleep=clock.sleep)
        self._steps = 0

    async def step(self, work: Awaitable[None]) -> None:
        """Do a step and, after the first ones, rest for as long as it took."""
        began = self._now()
        await work
        self._steps += 1
        if self._steps > HURRIED_STEPS and self._now() > began:
            await self._leisure.rest(began)
