"""How values are written, by Grafana's names of units, and where the lines of an axis are."""

import math
from collections.abc import Sequence

_THOUSANDS = ((1e9, " G"), (1e6, " M"), (1e3, " K"))
_BYTES = ((1024.0**3, " GiB"), (1024.0**2, " MiB"), (1024.0, " KiB"))
# From which values on there is another unit, and what smaller ones have.
_SCALES: dict[str, tuple[tuple[tuple[float, str], ...], str]] = {
    "short": (_THOUSANDS, ""),
    "ops": (tuple((size, f"{name} ops/s") for size, name in _THOUSANDS), " ops/s"),
    "s": (((60.0, " min"), (1.0, " s"), (1e-3, " ms")), " µs"),
    "bytes": (_BYTES, " B"),
    "Bps": (((1e6, " MB/s"), (1e3, " kB/s")), " B/s"),
}
UNITS = frozenset(_SCALES)
_FEW = {"s": 1e-6}
_MOST_LINES = 5


def written(value: float, unit: str, like: float | None = None) -> str:
    """Write a value, in the unit that a larger one has if one is named."""
    size, name = _scale(value if like is None else like, unit)
    return f"{_plain(value / size)}{name}" if value else "0"


def lines(most: float, unit: str) -> Sequence[float]:
    """Return where an axis from 0 on has its lines: the last one is not below the largest value."""
    most = most or 1.0
    size, _ = _scale(most, unit)
    least = most / size / _MOST_LINES
    power = 10.0 ** math.floor(math.log10(least))
    step = next(power * factor for factor in (1.0, 2.0, 5.0, 10.0) if power * factor >= least * (1 - 1e-9))
    return [size * step * number for number in range(math.ceil(most / size / step - 1e-9) + 1)]


def _scale(value: float, unit: str) -> tuple[float, str]:
    sizes, name = _SCALES[unit]
    return next((one for one in sizes if value >= one[0]), (_FEW.get(unit, 1.0), name))


def _plain(value: float) -> str:
    """Write a number with three digits, and without zeros behind the point."""
    digits = 2 - math.floor(math.log10(abs(value))) if value else 0
    return f"{round(value, digits):.{max(0, digits)}f}".rstrip("0").rstrip(".") if digits > 0 else f"{value:.0f}"
