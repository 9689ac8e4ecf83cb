"""How values are distributed: what a histogram of Prometheus tells, for a sixth of what one costs to keep.

Only the loop's thread may tell it values, so that it needs no lock.
"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

# Seconds that calls and their stages take.
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

# What prometheus-client is told: the labels, how many values each bucket and those below it have, and the sum.
Sample = tuple[tuple[str, ...], list[tuple[str, int]], float]


class Distribution:
    """Counts values by the buckets into which they fall."""

    __slots__ = ("_bounds", "counts", "names", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self.names = [*(f"{float(bound)}" for bound in bounds), "+Inf"]
        # How many values were at most as large as each bound and larger than the one before, and those above all.
        self.counts = [0] * len(self.names)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Take a value."""
        self.counts[bisect_left(self._bounds, value)] += 1
        self.sum += value

    def sample(self, labels: tuple[str, ...]) -> Sample:
        """Return what it is as the one with these labels."""
        return labels, list(zip(self.names, accumulate(self.counts), strict=True)), self.sum


class Distributions(dict[tuple[str, ...], Distribution]):
    """The distributions of a figure by the values of its labels; one that is asked for is there."""

    def __init__(self, bounds: Sequence[float]) -> None:
        super().__init__()
        self._bounds = bounds

    def __missing__(self, labels: tuple[str, ...]) -> Distribution:
        made = self[labels] = Distribution(self._bounds)
        return made

    def samples(self) -> list[Sample]:
        """Return what each is."""
        return [one.sample(labels) for labels, one in self.items()]
