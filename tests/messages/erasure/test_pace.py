"""A long job leaves as much time to others as it takes, and a short one nobody waits for longer."""

from services.messages.erasure.pace import HURRIED_STEPS, JobPace
from tests.support.clock import ManualClock


class _Clock(ManualClock):
    """Remembers for how long somebody has slept, and wakes them at once."""

    def __init__(self) -> None:
        super().__init__()
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.jump(seconds)


async def test_after_the_first_steps_each_is_followed_by_a_rest_as_long_as_it_was() -> None:
    clock = _Clock()
    pace = JobPace(clock)

    async def work(seconds: float) -> None:
        clock.jump(seconds)

    for _ in range(HURRIED_STEPS):
        await pace.step(work(3.0))
    assert clock.slept == []
    for seconds in (2.0, 0.0, 0.5):
        await pace.step(work(seconds))
    assert clock.slept == [2.0, 0.5]
