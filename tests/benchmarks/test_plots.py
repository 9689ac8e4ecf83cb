"""Plots of how cost grows: every point stands where its size and cost are, and trouble is one sentence."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks.figures import Figure
from benchmarks.growth.slopes import Series, grown, slope, with_slope
from benchmarks.plots.__main__ import main
from benchmarks.plots.drawing import picture

Captured = pytest.CaptureFixture[str]
_SIZES = [100 * 2**number for number in range(5)]


def _series(costs: Sequence[float], grows: str = "rooms") -> Series:
    points = list(zip(_SIZES, costs, strict=True))
    found = slope(points)
    return Series(grows, "send", points, found.exponent if found else None, found.error if found else None)


def _points(drawn: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', drawn)]


def test_each_doubling_is_a_step_and_the_line_goes_through_the_points() -> None:
    drawn = picture("a title", "a remark", [_series([3.0 * size for size in _SIZES])])
    points = _points(drawn)
    steps = [(x - before, y - under) for (before, under), (x, y) in pairwise(points)]
    assert len(steps) == 4
    assert steps == [pytest.approx(steps[0], abs=0.2)] * 4
    assert steps[0][0] > 0 > steps[0][1]
    assert "rooms, slope 1.00" in drawn
    (line,) = re.findall(r'<path d="M([\d.]+),([\d.]+)L([\d.]+),([\d.]+)" stroke="#e07b00"', drawn)
    assert [float(value) for value in line] == pytest.approx([*points[0], *points[-1]], abs=0.2)


def test_a_flat_cost_is_a_flat_line_in_the_middle_and_a_steeper_one_fits_in() -> None:
    flat = _points(picture("", "", [_series([7.0] * 5)]))
    assert {y for _, y in flat} == {flat[0][1]}
    heights = [y for _, y in _points(picture("", "", [_series([float(size) ** 2 for size in _SIZES])]))]
    assert 62 < min(heights) < flat[0][1] < max(heights) < 266


def test_what_was_not_seen_is_said_and_text_is_text() -> None:
    drawn = picture("<b>", "&", [_series([0.0] * 5, "<i>")])
    assert "nothing was seen" in drawn
    assert _points(drawn) == []
    assert "<b>" not in drawn
    assert "&lt;i&gt;" in drawn


def _report(folder: Path, figures: Sequence[Figure]) -> Path:
    path = folder / "growth.json"
    machine = {"cpus": 2, "cpu": "a processor", "python": "3"}
    path.write_text(json.dumps({"machine": machine, "figures": [asdict(figure) for figure in figures]}))
    return path


def _send(us: float) -> Figure:
    return Figure("W1", "a case", "services", "send", cpu_us={"service": us})


def test_without_a_browser_there_is_the_svg_alone_and_a_sentence_says_what_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    figures = with_slope([grown("rooms", size, _send(float(size))) for size in _SIZES])
    assert main([str(_report(tmp_path, figures)), "--folder", str(tmp_path)]) == 1
    assert "Debian's package `chromium`" in capsys.readouterr().err
    drawn = (tmp_path / "growth.svg").read_text()
    assert len(_points(drawn)) == 5
    assert "2 cores of a processor, Python 3" in drawn


def test_a_report_of_something_else_is_refused(tmp_path: Path, capsys: Captured) -> None:
    for path, sentence in [
        (_report(tmp_path, [_send(1.0)]), "has nothing of growth"),
        (tmp_path / "nothing.json", "can't be read"),
        (Path(__file__), "can't be read"),
    ]:
        assert main([str(path), "--folder", str(tmp_path)]) == 1
        assert sentence in capsys.readouterr().err
    (tmp_path / "list.json").write_text("[]")
    assert main([str(tmp_path / "list.json")]) == 1
    assert "has nothing of growth" in capsys.readouterr().err
    whole = _report(tmp_path, with_slope([grown("rooms", 1, _send(1.0))]))
    assert main([str(whole), "--folder", str(tmp_path / "nowhere")]) == 1
    assert "is no folder" in capsys.readouterr().err
