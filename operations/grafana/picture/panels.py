"""What there is to see in a dashboard's panels: its expressions, asked of Prometheus."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from services.stack.trouble import Trouble

# As Prometheus scrapes, and what Grafana makes of it for rates: four times that.
STEP_SECONDS = 15.0
_VARIABLES = {"$__rate_interval": f"{4 * STEP_SECONDS:.0f}s"}
_LABEL = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_SECONDS = 10.0

# Time and value; what was no number is left out.
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Curve:
    """One line of a panel, by what the legend calls it."""

    legend: str
    points: Points


@dataclass(frozen=True, slots=True)
class Place:
    """Where a panel stands, in the units of Grafana's grid, which is 24 wide."""

    x: int
    y: int
    w: int
    h: int


@dataclass(frozen=True, slots=True)
class Seen:
    """A panel and what there was to see in it."""

    title: str
    kind: str
    unit: str
    place: Place
    curves: Sequence[Curve]


def seen(board: Path, prometheus: str, begin: float, end: float) -> list[Seen]:
    """Ask for all that a dashboard shows of a time, which is in seconds since 1970."""
    panels = json.loads(board.read_text())["panels"]
    return [_seen(panel, lambda expression: _ask(prometheus, expression, begin, end)) for panel in panels]


def _seen(panel: Mapping[str, Any], ask: Any) -> Seen:
    curves = [
        Curve(_legend(target["legendFormat"], one["metric"]), _points(one["values"]))
        for target in panel["targets"]
        for one in ask(target["expr"])
    ]
    unit = panel["fieldConfig"]["defaults"]["unit"]
    shown = sorted((curve for curve in curves if curve.points), key=lambda curve: curve.legend)
    return Seen(panel["title"], panel["type"], unit, Place(**panel["gridPos"]), shown)


def _legend(told: str, labels: Mapping[str, str]) -> str:
    return _LABEL.sub(lambda label: labels.get(label[1], ""), told)


def _points(values: Sequence[tuple[float, str]]) -> Points:
    points = [(float(time), float(value)) for time, value in values]
    return [(time, value) for time, value in points if math.isfinite(value)]


def _ask(prometheus: str, expression: str, begin: float, end: float) -> list[dict[str, Any]]:
    for name, value in _VARIABLES.items():
        expression = expression.replace(name, value)
    question = urlencode({"query": expression, "start": begin, "end": end, "step": STEP_SECONDS})
    connection = HTTPConnection(prometheus, timeout=_SECONDS)
    try:
        connection.request("GET", f"/api/v1/query_range?{question}")
        answer = connection.getresponse()
        told = json.loads(answer.read())
    finally:
        connection.close()
    if answer.status != HTTPStatus.OK:
        raise Trouble(f"Prometheus does not answer {expression}: {told['error']}")
    found: list[dict[str, Any]] = told["data"]["result"]
    return found
