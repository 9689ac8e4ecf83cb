"""A dashboard as Grafana reads it: three panels a row, and a panel a line, so that a change shows as what it is."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_WIDTH, _HEIGHT, _PER_ROW = 8, 8, 3
_DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
_STAT = {"reduceOptions": {"calcs": ["lastNotNull"]}, "textMode": "value_and_name", "graphMode": "area"}


@dataclass(frozen=True, slots=True)
class Panel:
    """Curves over time; `curves` are expressions by what the legend says, with labels in double braces.

    What seldom changes, and is the same for all, is a number each (`is_stat`), with the curve below it.
    """

    title: str
    unit: str
    curves: Mapping[str, str]
    is_stat: bool = False


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard."""

    name: str
    title: str
    panels: Sequence[Panel]


def written(board: Board) -> str:
    """Return a dashboard as JSON, with a line for each panel."""
    head = {
        "uid": f"chatkit-{board.name}",
        "title": board.title,
        "tags": ["chatkit"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": [{"name": "datasource", "type": "datasource", "query": "prometheus"}]},
    }
    lines = [f" {json.dumps(key)}: {json.dumps(value)},\n" for key, value in head.items()]
    panels = ",\n".join(f"  {json.dumps(_panel(number, panel))}" for number, panel in enumerate(board.panels))
    return f'{{\n{"".join(lines)} "panels": [\n{panels}\n ]\n}}\n'


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    row, column = divmod(number, _PER_ROW)
    return {
        "id": number + 1,
        "type": "stat" if panel.is_stat else "timeseries",
        "title": panel.title,
        "datasource": _DATASOURCE,
        "gridPos": {"x": column * _WIDTH, "y": row * _HEIGHT, "w": _WIDTH, "h": _HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + index), "expr": expression, "legendFormat": legend}
            for index, (legend, expression) in enumerate(panel.curves.items())
        ],
        **({"options": _STAT} if panel.is_stat else {}),
    }
