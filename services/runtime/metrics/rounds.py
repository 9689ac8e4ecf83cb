"""How the rounds have gone of what works from time to time, by itself: how many, and how long ago the last good one."""

from services.runtime.clock import Clock
from services.runtime.metrics.registry import Metrics


class Rounds:
    """The rounds of one such work."""

    def __init__(self, clock: Clock) -> None:
        self.done = self.failed = 0
        self._clock = clock
        # By the monotonic clock; work that has never been done counts from the beginning of the process.
        self._done_at = clock.monotonic()

    @property
    def age(self) -> float:
        """How many seconds ago all was last gone through, or the process began."""
        return self._clock.monotonic() - self._done_at

    def outcomes(self) -> dict[tuple[str, ...], float]:
        """Return how many rounds ended in each way."""
        return {("done",): self.done, ("failed",): self.failed}

    def succeed(self) -> None:
        """Hear that all was gone through."""
        self.done += 1
        self._done_at = self._clock.monotonic()

    def fail(self) -> None:
        """Hear that a round was broken off."""
        self.failed += 1


def measure_rounds(metrics: Metrics, work: str, text: str, rounds: Rounds) -> None:
    """Declare the two figures of a work; `text` says what a round does."""
    metrics.count(
        f"chatkit_{work}_rounds",
        f"Rounds that {text}, by how they ended",
        rounds.outcomes,
        ["outcome"],
    )
    metrics.gauge(
        f"chatkit_{work}_age_seconds",
        f"How long ago a round that {text} ended well; before the first, since when the process runs",
        lambda: rounds.age,
    )
