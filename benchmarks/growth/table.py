"""What grows, what an operation costs at each size, and the slope, as a table."""

from collections.abc import Iterable
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from benchmarks.figures import Figure
from benchmarks.growth.slopes import Series, series

_NOTES = """\
CPU microseconds of services, database and NATS for one operation; each column has twice the size of the one before.
The slope is the exponent: cost grows with the size to that power, so 0 is flat and 1 is linear. Beside it is its
standard error, in which there is only how far the points lie from a line."""


def tables(figures: Iterable[Figure]) -> list[Any]:
    """Return the table of what was measured while something grew, or nothing."""
    found = series(figures)
    if not found:
        return []
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("what grows", "operation"):
        table.add_column(name, no_wrap=True)
    count = max(len(one.points) for one in found)
    for name in ("from", "to", *(f"x{2**number}" for number in range(count)), "slope", "+-"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in found:
        table.add_row(*_row(one, count))
    return [table, Text(_NOTES)]


def _row(one: Series, count: int) -> list[str]:
    costs = [f"{us:,.0f}" for _, us in one.points]
    sizes = (f"{size:,}" for size, _ in (one.points[0], one.points[-1]))
    exponents = ("" if value is None else f"{value:.2f}" for value in (one.slope, one.error))
    return [one.grows, one.operation, *sizes, *costs, *[""] * (count - len(costs)), *exponents]
