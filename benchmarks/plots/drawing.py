"""How cost grows, as SVG: a plot for each thing that grows, with sizes and costs on logarithmic axes.

Both axes of a plot span as many doublings, so that a slope of 1 is the diagonal, whatever is plotted.
"""

import math
from collections.abc import Sequence
from html import escape

from benchmarks.growth.slopes import Series

WIDTH = 1200
_COLUMNS = 3
_PLOT_WIDTH, _PLOT_HEIGHT, _TITLE_HEIGHT = WIDTH // _COLUMNS, 300, 44
# What a plot needs beside its axes.
_LEFT, _RIGHT, _ABOVE, _BELOW = 74, 22, 62, 34
_INK, _GREY, _LINES, _POINTS, _FIT, _GROUND = "#24292e", "#6b7178", "#e4e6e9", "#3274d9", "#e07b00", "#ffffff"
_STYLE = f"""
text {{ font: 12px sans-serif; fill: {_GREY}; }}
.title {{ font-size: 17px; fill: {_INK}; }}
.name {{ font-size: 14px; fill: {_INK}; }}
"""


def picture(title: str, remark: str, found: Sequence[Series]) -> str:
    """Return a picture of everything that was measured."""
    rows = -(-len(found) // _COLUMNS)
    height = _TITLE_HEIGHT + rows * _PLOT_HEIGHT + 10
    plots = "\n".join(_placed(number, one) for number, one in enumerate(found))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">\n'
        f'<style>{_STYLE}</style>\n<rect width="{WIDTH}" height="{height}" fill="{_GROUND}"/>\n'
        f'<text class="title" x="16" y="28">{escape(title)}</text>\n'
        f'<text x="{WIDTH - 16}" y="28" text-anchor="end">{escape(remark)}</text>\n{plots}\n</svg>\n'
    )


def _placed(number: int, one: Series) -> str:
    x, y = number % _COLUMNS * _PLOT_WIDTH, _TITLE_HEIGHT + number // _COLUMNS * _PLOT_HEIGHT
    return f'<g transform="translate({x} {y})">{"".join(_plot(one))}</g>'


def _plot(one: Series) -> list[str]:
    slope = "" if one.slope is None else f", slope {one.slope:.2f}"
    parts = [
        f'<text class="name" x="16" y="22">{escape(one.grows)}{slope}</text>',
        f'<text x="16" y="40">CPU of one {escape(one.operation)}</text>',
    ]
    points = [(size, us) for size, us in one.points if us > 0]
    if not points:
        return [*parts, f'<text x="{_LEFT}" y="{_ABOVE + 40}">nothing was seen</text>']
    axes = _Axes(points)
    parts += axes.lines([size for size, _ in points])
    if one.slope is not None:
        parts.append(axes.fit(points, one.slope))
    parts += [f'<circle cx="{axes.x(size):.1f}" cy="{axes.y(us):.1f}" r="4" fill="{_POINTS}"/>' for size, us in points]
    return parts


class _Axes:
    """Where sizes and costs are, in doublings from the middle of each axis."""

    def __init__(self, points: Sequence[tuple[int, float]]) -> None:
        sizes, costs = ([math.log2(value) for value in column] for column in zip(*points, strict=True))
        # As many doublings both ways, and half a doubling of room.
        self._half = max(max(values) - min(values) for values in (sizes, costs)) / 2 + 0.5
        self._size, self._cost = ((max(values) + min(values)) / 2 for values in (sizes, costs))

    def x(self, size: float) -> float:
        """Return where a size is."""
        width = _PLOT_WIDTH - _LEFT - _RIGHT
        return _LEFT + width / 2 + (math.log2(size) - self._size) / self._half * width / 2

    def y(self, us: float) -> float:
        """Return where a cost is."""
        height = _PLOT_HEIGHT - _ABOVE - _BELOW
        return _ABOVE + height / 2 - (math.log2(us) - self._cost) / self._half * height / 2

    def lines(self, sizes: Sequence[int]) -> list[str]:
        """Draw a line at each size, and one at each doubling of the cost."""
        bottom, right = _PLOT_HEIGHT - _BELOW, _PLOT_WIDTH - _RIGHT
        parts = [
            f'<path d="M{self.x(size):.1f},{_ABOVE}V{bottom}" stroke="{_LINES}"/>'
            f'<text x="{self.x(size):.1f}" y="{bottom + 18}" text-anchor="middle">{size:,}</text>'
            for size in sizes
        ]
        doublings = math.floor(self._half)
        costs = (2.0 ** (self._cost + number) for number in range(-doublings, doublings + 1))
        return parts + [
            f'<path d="M{_LEFT},{self.y(us):.1f}H{right}" stroke="{_LINES}"/>'
            f'<text x="{_LEFT - 8}" y="{self.y(us):.1f}" dy="4" text-anchor="end">{_written(us)}</text>'
            for us in costs
        ]

    def fit(self, points: Sequence[tuple[int, float]], slope: float) -> str:
        """Draw the line that was fitted: it goes through the middle of all points."""
        middle_size, middle_cost = (
            sum(math.log2(value) for value in column) / len(points) for column in zip(*points, strict=True)
        )
        ends = (points[0][0], points[-1][0])
        at = [
            f"{self.x(size):.1f},{self.y(2 ** (middle_cost + slope * (math.log2(size) - middle_size))):.1f}"
            for size in ends
        ]
        return f'<path d="M{"L".join(at)}" stroke="{_FIT}" stroke-width="1.6" fill="none"/>'


def _written(us: float) -> str:
    """Write microseconds with two digits, or all that there are before the point."""
    value, unit = (us / 1_000, "ms") if us >= 1_000 else (us, "µs")  # noqa: PLR2004 - a millisecond
    return f"{value:.1f} {unit}" if value < 10 else f"{value:,.0f} {unit}"  # noqa: PLR2004 - two digits
