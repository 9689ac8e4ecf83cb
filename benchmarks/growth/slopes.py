"""The cost of an operation at each size, and the slope: by which power of the size it grows."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import linear_regression
from typing import Any

from benchmarks.figures import DATABASE, NATS, SERVICE, Figure

NAME = "growth"
# In the details of figures: what has grown, and to which size; with the last one of each, the slope.
GROWS, SIZE, SLOPE, SLOPE_ERROR = "grows", "size", "slope", "slope_error"
_LEAST_POINTS = 3


@dataclass(frozen=True, slots=True)
class Slope:
    """The exponent: 0 is flat, 1 is linear; and its standard error, which two points do not have."""

    exponent: float
    error: float | None


@dataclass(frozen=True, slots=True)
class Series:
    """What was measured while one thing grew."""

    grows: str
    operation: str
    # Sizes, and CPU microseconds of an operation.
    points: Sequence[tuple[int, float]]
    slope: float | None
    error: float | None


def cost(figure: Figure) -> float:
    """Return the CPU of services, database and NATS for one operation; not that of the edge and the generator."""
    return sum(figure.cpu_us.get(part, 0.0) for part in (SERVICE, DATABASE, NATS))


def slope(points: Sequence[tuple[int, float]]) -> Slope | None:
    """Fit a line to the logarithms of sizes and costs; None where a window was too short for some cost to be seen."""
    if any(us <= 0 for _, us in points) or len({size for size, _ in points}) <= 1:
        return None
    sizes, costs = ([math.log(value) for value in column] for column in zip(*points, strict=True))
    exponent, intercept = linear_regression(sizes, costs)
    if len(points) < _LEAST_POINTS:
        return Slope(exponent, None)
    middle = sum(sizes) / len(sizes)
    misses = sum((y - intercept - exponent * x) ** 2 for x, y in zip(sizes, costs, strict=True))
    return Slope(exponent, math.sqrt(misses / (len(points) - 2) / sum((x - middle) ** 2 for x in sizes)))


def grown(grows: str, size: int, figure: Figure) -> Figure:
    """Return a figure as one of this workload."""
    details = {**figure.details, GROWS: grows, SIZE: size}
    return replace(figure, workload=NAME, case=f"{grows}: {size:,}", details=details)


def with_slope(figures: Sequence[Figure]) -> list[Figure]:
    """Return the figures of one thing that grows, the last one with the slope."""
    found = slope([(figure.details[SIZE], cost(figure)) for figure in figures])
    if found is None:
        return list(figures)
    last = figures[-1]
    told: dict[str, Any] = {**last.details, SLOPE: found.exponent, SLOPE_ERROR: found.error}
    return [*figures[:-1], replace(last, details=told)]


def is_of(figure: Figure) -> bool:
    """Tell whether a figure is shown with its slope."""
    return figure.workload == NAME


def series(figures: Iterable[Figure]) -> list[Series]:
    """Group figures by what has grown."""
    by_name: dict[str, list[Figure]] = {}
    for figure in figures:
        if is_of(figure):
            by_name.setdefault(figure.details[GROWS], []).append(figure)
    return [
        Series(
            grows,
            found[-1].unit,
            [(figure.details[SIZE], cost(figure)) for figure in found],
            found[-1].details.get(SLOPE),
            found[-1].details.get(SLOPE_ERROR),
        )
        for grows, found in by_name.items()
    ]
