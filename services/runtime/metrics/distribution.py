"""How values are distributed: what a histogram of Prometheus tells, for a sixth of what one costs to keep.

Only the loop's thread may tell it values, so that it needs no lock. Of each bucket it keeps one example at most: the
trace of the last value there of which one can be found. Prometheus asks for them in OpenMetrics alone.
"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from time import time

from prometheus_client.samples import Exemplar

# Seconds that calls and their stages take.
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

# What prometheus-client is told: the labels, how many values each bucket and those below it have, maybe with an example
# of the bucket, and the sum.
Bucket = tuple[str, int] | tuple[str, int, Exemplar | None]
Sample = tuple[tuple[str, ...], list[Bucket], float]


class Distribution:
    """Counts values by the buckets into which they fall."""

    __slots__ = ("_bounds", "_examples", "counts", "names", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self.names = [*(f"{float(bound)}" for bound in bounds), "+Inf"]
        # How many values were at most as large as each bound and larger than the one before, and those above all.
        self.counts = [0] * len(self.names)
        self.sum = 0.0
        # By the number of the bucket.
        self._examples: dict[int, Exemplar] = {}

    def observe(self, value: float) -> None:
        """Take a value."""
        self.counts[bisect_left(self._bounds, value)] += 1
        self.sum += value

    def exemplify(self, value: float, trace_id: str) -> None:
        """Keep the trace of a value that was taken as the example of its bucket."""
        bucket = bisect_left(self._bounds, value)
        self._examples[bucket] = Exemplar({"trace_id": trace_id}, value, time())

    def sample(self, labels: tuple[str, ...]) -> Sample:
        """Return what it is as the one with these labels."""
        counted = zip(self.names, accumulate(self.counts), strict=True)
        if not self._examples:
            return labels, list(counted), self.sum
        find = self._examples.get
        return labels, [(name, count, find(number)) for number, (name, count) in enumerate(counted)], self.sum


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
