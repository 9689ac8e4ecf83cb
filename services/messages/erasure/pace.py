"""How fast a long job goes: half of the time is left to others, who would wait for it otherwise."""

from collections.abc import Awaitable

from services.runtime.clock import Clock

# Somebody may wait for what is over after so many steps.
HURRIED_STEPS = 8


class Pace:
    """The pace of one job."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._steps = 0

    async def step(self, work: Awaitable[None]) -> None:
        """Do a step and, after the first ones, rest for as long as it took."""
        began = self._clock.monotonic()
        await work
        self._steps += 1
        taken = self._clock.monotonic() - began
        if self._steps > HURRIED_STEPS and taken > 0:
            await self._clock.sleep(taken)
