"""How values are distributed: what a histogram of Prometheus tells, for a sixth of what one costs to keep.

Only the loop's thread may tell it values, so that it needs no lock.
"""

from bisect import bisect_left
from collections.abc import Sequence


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
