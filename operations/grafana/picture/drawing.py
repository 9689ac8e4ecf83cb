"""Panels as a page of HTML, in Grafana's grid: curves over time, and numbers with what they were."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from html import escape
from itertools import cycle

from operations.grafana.picture.panels import STEP_SECONDS, Curve, Points, Seen
from operations.grafana.picture.units import lines, written

WIDTH = 1400
_COLOURS = ("#3274d9", "#56a64b", "#e07b00", "#c4162a", "#8f3bb8", "#0a9f9f", "#b8860b", "#6e6e6e")
# The inside of a panel that is a third of the page wide, with what its axes need at the left and below.
_PLOT_WIDTH, _PLOT_HEIGHT, _BELOW, _ABOVE, _RIGHT = 448, 218, 20, 8, 14
# About what a character of an axis is wide, and the least that is left of it.
_CHARACTER, _LEFT = 6.2, 16
_SPARK_WIDTH, _SPARK_HEIGHT = 70, 26
_MOST_TIMES = 5
_TIME_STEPS = (15, 30, 60, 120, 300, 600, 1_800, 3_600)
_STYLE = """
* { box-sizing: border-box; }
body { margin: 0; padding: 12px 16px 16px; background: #f4f5f5; color: #24292e; font: 12px sans-serif; }
h1 { margin: 0 0 10px; font-size: 17px; font-weight: 500; }
h1 small { float: right; font-size: 12px; font-weight: 400; color: #6b7178; padding-top: 4px; }
h2 { margin: 0; padding: 8px 10px 4px; font-size: 13px; font-weight: 500; }
main { display: grid; grid-template-columns: repeat(24, 1fr); grid-auto-rows: 30px; gap: 8px; }
section { display: flex; flex-direction: column; background: #fff; border: 1px solid #dfe1e4; border-radius: 3px;
  overflow: hidden; }
svg { display: block; width: 100%; }
svg text { font: 11px sans-serif; fill: #6b7178; }
ul { display: flex; flex-wrap: wrap; gap: 2px 14px; margin: 0; padding: 2px 10px; list-style: none; }
li { display: flex; align-items: center; gap: 5px; white-space: nowrap; }
i { width: 14px; height: 3px; border-radius: 2px; }
.none { margin: auto; color: #6b7178; font-size: 15px; }
.stats { display: grid; grid-template-columns: repeat(auto-fit, minmax(80px, 1fr)); flex: 1; gap: 4px; padding: 6px; }
.stats div { display: flex; flex-direction: column; justify-content: center; align-items: center; gap: 3px; }
.stats b { font-size: 28px; font-weight: 500; }
"""


def page(title: str, remark: str, panels: Sequence[Seen], begin: float, end: float) -> str:
    """Return the page of a dashboard, of what there was to see from one time to another."""
    sections = "\n".join(_section(panel, begin, end) for panel in panels)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"/><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1><small>{escape(remark)}</small>{escape(title)}</h1>\n"
        f"<main>\n{sections}\n</main></body></html>\n"
    )


def _section(panel: Seen, begin: float, end: float) -> str:
    at = panel.place
    where = f"grid-column: {at.x + 1} / span {at.w}; grid-row: {at.y + 1} / span {at.h}"
    if not panel.curves:
        shown = '<p class="none">no data</p>'
    elif panel.kind == "stat":
        shown = f'<div class="stats">{"".join(_number(*one, panel.unit) for one in _coloured(panel.curves))}</div>'
    else:
        shown = _plot(panel, begin, end) + _legend(panel.curves)
    return f'<section style="{where}"><h2>{escape(panel.title)}</h2>{shown}</section>'


def _coloured(curves: Sequence[Curve]) -> Iterator[tuple[Curve, str]]:
    return zip(curves, cycle(_COLOURS), strict=False)


def _legend(curves: Sequence[Curve]) -> str:
    entries = (
        f'<li><i style="background: {colour}"></i>{escape(curve.legend)}</li>' for curve, colour in _coloured(curves)
    )
    return f"<ul>{''.join(entries)}</ul>"


def _number(curve: Curve, colour: str, unit: str) -> str:
    """Draw what a value is now, and below it what it was before."""
    least, most = curve.points[0][0], max(value for _, value in curve.points) or 1.0
    span = (curve.points[-1][0] - least) or 1.0
    spark = " ".join(
        f"{(time - least) / span * _SPARK_WIDTH:.1f},{_SPARK_HEIGHT - value / most * (_SPARK_HEIGHT - 4):.1f}"
        for time, value in curve.points
    )
    return (
        f'<div><span>{escape(curve.legend)}</span><b style="color: {colour}">{written(curve.points[-1][1], unit)}</b>'
        f'<svg viewBox="0 0 {_SPARK_WIDTH} {_SPARK_HEIGHT}" style="width: {_SPARK_WIDTH}px">'
        f'<polyline points="{spark}" fill="none" stroke="{colour}" stroke-width="1.5"/></svg></div>'
    )


def _plot(panel: Seen, begin: float, end: float) -> str:
    """Draw curves between their axes."""
    marks = lines(max(value for curve in panel.curves for _, value in curve.points), panel.unit)
    labels = [written(mark, panel.unit, like=marks[-1]) for mark in marks]
    left = _LEFT + max(map(len, labels)) * _CHARACTER
    width, height = _PLOT_WIDTH - left - _RIGHT, _PLOT_HEIGHT - _ABOVE - _BELOW

    def x(time: float) -> str:
        return f"{left + (time - begin) / (end - begin) * width:.1f}"

    def y(value: float) -> str:
        return f"{_ABOVE + height - value / marks[-1] * height:.1f}"

    parts = [
        f'<path d="M{left:.1f},{y(mark)}H{_PLOT_WIDTH - _RIGHT}" stroke="#e4e6e9"/>'
        f'<text x="{left - 6:.1f}" y="{y(mark)}" dy="4" text-anchor="end">{label}</text>'
        for mark, label in zip(marks, labels, strict=True)
    ]
    parts += [
        f'<text x="{x(time)}" y="{_PLOT_HEIGHT - 4}" text-anchor="middle">{text}</text>'
        for time, text in _times(begin, end)
    ]
    for curve, colour in _coloured(panel.curves):
        path = "".join(
            "M" + "L".join(f"{x(time)},{y(value)}" for time, value in piece) for piece in _pieces(curve.points)
        )
        parts.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.6" stroke-linejoin="round"/>')
    return f'<svg viewBox="0 0 {_PLOT_WIDTH} {_PLOT_HEIGHT}">{"".join(parts)}</svg>'


def _pieces(points: Points) -> list[list[tuple[float, float]]]:
    """Divide a curve where nothing was told for longer than a step."""
    pieces: list[list[tuple[float, float]]] = []
    for point in points:
        if pieces and point[0] - pieces[-1][-1][0] <= 1.5 * STEP_SECONDS:
            pieces[-1].append(point)
        else:
            pieces.append([point])
    return pieces


def _times(begin: float, end: float) -> list[tuple[float, str]]:
    """Return the times that the axis names, in UTC."""
    step = next((one for one in _TIME_STEPS if (end - begin) / one <= _MOST_TIMES), _TIME_STEPS[-1])
    first = -int(-begin // step) * step
    form = "%H:%M" if step % 60 == 0 else "%H:%M:%S"
    return [(time, datetime.fromtimestamp(time, UTC).strftime(form)) for time in range(first, int(end) + 1, step)]
