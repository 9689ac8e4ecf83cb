"""A picture of a dashboard has what the dashboard has, drawn of what Prometheus answers."""

import asyncio
import json
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from operations.grafana.boards import BOARDS
from operations.grafana.picture.__main__ import main
from operations.grafana.picture.drawing import page
from operations.grafana.picture.panels import Curve, Place, Seen, seen
from operations.grafana.picture.scraping import scraping
from operations.grafana.picture.units import UNITS, lines, written
from operations.grafana.writing import Board
from services.stack.trouble import Trouble
from tests.checks.steps import ROOT
from tests.support.serving import answering

Captured = pytest.CaptureFixture[str]
_FOLDER = ROOT / "operations" / "grafana"
_BEGIN, _END = 1_700_000_000.0, 1_700_000_120.0
_POINTS = [[_BEGIN, "1"], [_BEGIN + 15, "NaN"], [_BEGIN + 30, "3"]]


class _Prometheus:
    """Knows one curve for each expression, and none for streams."""

    def __init__(self) -> None:
        self.asked: list[dict[str, list[str]]] = []
        self.address = ""

    def answer(self, path: str, _accept: str) -> tuple[HTTPStatus, str]:
        asked = parse_qs(urlsplit(path).query)
        self.asked.append(asked)
        (expression,) = asked["query"]
        if "$" in expression:
            return HTTPStatus.BAD_REQUEST, json.dumps({"status": "error", "error": "parse error"})
        curve: dict[str, Any] = {"metric": {"service": "rooms & more", "slo": "send"}, "values": _POINTS}
        found = [] if "chatkit_streams_open" in expression else [curve]
        return HTTPStatus.OK, json.dumps({"status": "success", "data": {"result": found}})


@pytest.fixture
def prometheus() -> Iterator[_Prometheus]:
    """Run one."""
    made = _Prometheus()
    with answering(made.answer) as made.address:
        yield made


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: str(board.name))
def test_every_panel_of_a_board_is_asked_for_and_drawn(board: Board, prometheus: _Prometheus) -> None:
    panels = seen(_FOLDER / f"{board.name}.json", prometheus.address, _BEGIN, _END)
    drawn = page(board.title, "a remark", panels, _BEGIN, _END)
    assert [panel.title for panel in panels] == [panel.title for panel in board.panels]
    assert len(prometheus.asked) == sum(len(panel.curves) for panel in board.panels)
    for panel in board.panels:
        _, _, section = drawn.partition(f"<h2>{panel.title}</h2>".replace("'", "&#x27;"))
        shown = section.partition("</section>")[0]
        is_unknown = any("chatkit_streams_open" in expression for expression in panel.curves.values())
        assert ("no data" in shown, "<svg" in shown) == (is_unknown, not is_unknown), panel.title


def test_a_curve_has_its_labels_in_the_legend_and_a_gap_where_there_was_no_number(prometheus: _Prometheus) -> None:
    (budgets, *_) = seen(_FOLDER / "overview.json", prometheus.address, _BEGIN, _END)
    assert budgets.curves == [Curve("send", [(_BEGIN, 1.0), (_BEGIN + 30, 3.0)])]
    drawn = page("A board", "", [budgets], _BEGIN, _END)
    assert drawn.count("M", drawn.index('stroke="#3274d9"') - 60, drawn.index('stroke="#3274d9"')) == 2
    assert "<li><i" in drawn
    assert {one["step"][0] for one in prometheus.asked} == {"15.0"}
    assert all("$" not in one["query"][0] for one in prometheus.asked)


def test_what_stands_in_labels_is_text() -> None:
    panel = Seen("<b>", "stat", "short", Place(0, 0, 8, 8), [Curve("<script>", [(_BEGIN, 2.0)])])
    drawn = page("<i>", "&", [panel], _BEGIN, _END)
    assert "<script>" not in drawn
    assert "&lt;script&gt;" in drawn
    assert "<h2>&lt;b&gt;</h2>" in drawn


def test_what_prometheus_can_not_read_is_said(prometheus: _Prometheus, tmp_path: Path) -> None:
    told = json.loads((_FOLDER / "overview.json").read_text())
    told["panels"][0]["targets"][0]["expr"] = "rate($nothing)"
    (tmp_path / "board.json").write_text(json.dumps(told))
    with pytest.raises(Trouble, match=r"does not answer rate\(\$nothing\): parse error"):
        seen(tmp_path / "board.json", prometheus.address, _BEGIN, _END)


async def test_without_prometheus_a_sentence_says_what_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Trouble, match="Debian's package `prometheus`"):
        async with scraping({}, tmp_path):
            raise AssertionError


async def test_one_that_ends_at_once_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "prometheus"
    program.write_text("#!/bin/sh\necho no room left\nexit 1\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(Trouble, match="no room left"):
        async with asyncio.timeout(60), scraping({"messages": "127.0.0.1:1"}, tmp_path):
            raise AssertionError
    (target,) = json.loads((tmp_path / "targets.json").read_text())
    assert target["labels"] == {"service": "messages", "instance": "messages"}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--minutes", "0"], "'0' is no number of minutes: more than 0, at most 60"),
        (["--minutes", "nan"], "is no number of minutes"),
        (["--board", "fish"], "invalid choice: 'fish'"),
        (["--folder", "/not/there"], "/not/there is no folder"),
    ],
)
def test_what_can_not_be_done_is_said_at_once(
    arguments: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    for name in ("prometheus", "chromium"):
        (tmp_path / name).touch(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    try:
        status = main(arguments)
    except SystemExit as ended:
        status = int(ended.code or 0)
    assert status > 0
    assert sentence in capsys.readouterr().err


def test_without_a_browser_a_sentence_says_what_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main([]) == 1
    assert "Debian's package `chromium`" in capsys.readouterr().err


def test_every_unit_of_the_boards_can_be_written() -> None:
    assert {panel.unit for board in BOARDS for panel in board.panels} <= UNITS


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0, "s", "0"),
        (0.00012, "s", "120 µs"),
        (0.0954, "s", "95.4 ms"),
        (90.0, "s", "1.5 min"),
        (1_330.0, "ops", "1.33 K ops/s"),
        (130e6, "bytes", "124 MiB"),
        (999.0, "Bps", "999 B/s"),
        (0.0000123, "short", "0.0000123"),
        (250.0, "short", "250"),
        (1_234_567.0, "short", "1.23 M"),
    ],
)
def test_values_have_three_digits_and_their_unit(value: float, unit: str, text: str) -> None:
    assert written(value, unit) == text


@pytest.mark.parametrize(
    ("most", "unit", "labels"),
    [
        (0.0, "short", ["0", "0.2", "0.4", "0.6", "0.8", "1"]),
        (0.1, "s", ["0", "20 ms", "40 ms", "60 ms", "80 ms", "100 ms"]),
        (100.0, "s", ["0", "0.5 min", "1 min", "1.5 min", "2 min"]),
        (130e6, "bytes", ["0", "50 MiB", "100 MiB", "150 MiB"]),
        (1_001.0, "ops", ["0", "0.5 K ops/s", "1 K ops/s", "1.5 K ops/s"]),
    ],
)
def test_an_axis_has_few_lines_at_round_values_up_to_the_largest(most: float, unit: str, labels: list[str]) -> None:
    found = lines(most, unit)
    assert [written(one, unit, like=found[-1]) for one in found] == labels
    assert found[-1] >= most
