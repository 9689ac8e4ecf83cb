"""The dashboards of Grafana are those that the tables say, and show figures that services tell."""

import json
from pathlib import Path

import pytest

from operations.grafana.boards import BOARDS
from operations.grafana.writing import Board, written
from tests.checks.steps import ROOT
from tests.deploy.monitoring.expressions import unknown
from tests.deploy.monitoring.promtool import judge, needs_promtool
from tests.support.databases import TestDatabase
from tests.support.told_figures import told_figures

_FOLDER = ROOT / "operations" / "grafana"


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: str(board.name))
def test_what_is_there_is_what_the_tables_say(board: Board) -> None:
    text = (_FOLDER / f"{board.name}.json").read_text()
    assert text == written(board), "run python -m operations.grafana"
    told = json.loads(text)
    assert [panel["title"] for panel in told["panels"]] == [panel.title for panel in board.panels]
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in told["panels"]]
    assert len(places) == len(set(places))
    assert all(panel["targets"] for panel in told["panels"])


def test_no_dashboard_is_left_over() -> None:
    assert {path.stem for path in _FOLDER.glob("*.json")} == {board.name for board in BOARDS}


@needs_promtool
def test_promtool_can_read_every_expression(tmp_path: Path) -> None:
    expressions = [expression for board in BOARDS for panel in board.panels for expression in panel.curves.values()]
    rules = [
        {"record": f"board:{number}", "expr": one.replace("$__rate_interval", "5m")}
        for number, one in enumerate(expressions)
    ]
    path = tmp_path / "rules.json"
    path.write_text(json.dumps({"groups": [{"name": "boards", "rules": rules}]}))
    judge("check", "rules", path)


async def test_every_figure_in_the_dashboards_is_told_by_a_suite(database: TestDatabase, tmp_path: Path) -> None:
    told = await told_figures(database, tmp_path)
    assert told
    for board in BOARDS:
        expressions = [expression for panel in board.panels for expression in panel.curves.values()]
        assert unknown(expressions, told) == set(), board.name
