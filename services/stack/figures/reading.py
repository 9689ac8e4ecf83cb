"""Asks processes for their figures, and reads what they answer: the text of Prometheus, of services and of Envoy alike.

A process that does not answer is None, whatever keeps it from that.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from math import inf
from typing import TypeVar

from prometheus_client.parser import text_string_to_metric_families

from services.stack.figures.asking import SECONDS, ask

# How many values were at most as large as each bound, by the bound.
Buckets = Mapping[float, float]
_Labels = Mapping[str, str]
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Figures:
    """What a process told at one time: the values of each figure with their labels, by its name."""

    samples: Mapping[str, list[tuple[_Labels, float]]] = field(default_factory=dict)

    def value(self, name: str, **labels: str) -> float | None:
        """Return a figure with at least these labels, summed up; None where there is none."""
        found = [value for told, value in self.samples.get(name, ()) if labels.items() <= told.items()]
        return sum(found) if found else None

    def by(self, name: str, *labels: str) -> Mapping[tuple[str, ...], float]:
        """Return a figure for each combination of these labels, summed up over the others."""
        summed: dict[tuple[str, ...], float] = defaultdict(float)
        for told, value in self.samples.get(name, ()):
            summed[tuple(told.get(label, "") for label in labels)] += value
        return summed

    def buckets(self, name: str, *labels: str) -> Mapping[tuple[str, ...], Buckets]:
        """Return a histogram for each combination of these labels."""
        found: dict[tuple[str, ...], dict[float, float]] = defaultdict(dict)
        for (bound, *rest), value in self.by(f"{name}_bucket", "le", *labels).items():
            found[tuple(rest)][float(bound)] = value
        return found


def parse(text: str) -> Figures:
    """Read what a process answers; raises ValueError where it is something else."""
    samples: dict[str, list[tuple[_Labels, float]]] = defaultdict(list)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples[sample.name].append((sample.labels, sample.value))
    return Figures(samples)


def figures_of(address: str, seconds: float = SECONDS) -> Figures | None:
    """Return what a process tells now; None where it does not."""
    answer = ask(address, "/metrics", seconds)
    if answer is None or answer[0] != HTTPStatus.OK:
        return None
    try:
        return parse(answer[1])
    except ValueError:
        return None


def is_ready(address: str, seconds: float = SECONDS) -> bool | None:
    """Return whether others may turn to a process; None where it does not answer."""
    answer = ask(address, "/readyz", seconds)
    return None if answer is None else answer[0] == HTTPStatus.OK


def of_each(addresses: Mapping[str, str], ask_one: Callable[[str], _Result]) -> dict[str, _Result]:
    """Ask all processes at once, so that the slowest says how long it takes; return the answers by their names."""
    if not addresses:
        return {}
    with ThreadPoolExecutor(len(addresses)) as threads:
        return dict(zip(addresses, threads.map(ask_one, addresses.values()), strict=True))


def between(before: Buckets, after: Buckets) -> Buckets:
    """Return what has come into each bucket from one reading to the next."""
    return {bound: count - before.get(bound, 0.0) for bound, count in after.items()}


def together(histograms: list[Buckets]) -> Buckets:
    """Add up histograms, of replicas for instance."""
    summed: dict[float, float] = defaultdict(float)
    for one in histograms:
        for bound, count in one.items():
            summed[bound] += count
    return summed


def quantile(share: float, buckets: Buckets) -> float | None:
    """Return what this share of the values is at most, as Prometheus' histogram_quantile does; None without values.

    Within a bucket values are taken to lie evenly, the lowest one beginning at 0. What lies above all bounds is told as
    the highest of them.
    """
    bounds = sorted(buckets)
    if not bounds or bounds[-1] != inf or buckets[inf] <= 0:
        return None
    rank = share * buckets[inf]
    lower, below = 0.0, 0.0
    for bound in bounds:
        if buckets[bound] >= rank and buckets[bound] > below:
            return lower if bound == inf else lower + (bound - lower) * (rank - below) / (buckets[bound] - below)
        lower, below = bound, buckets[bound]
    return lower
