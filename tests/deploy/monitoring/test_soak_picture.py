"""What was sampled while a suite was checked is drawn, each process with a curve of its own."""

from pathlib import Path
from typing import Any

import pytest

from operations.grafana.picture import soak


def _sample(seconds: float, *names: str, **database: int) -> dict[str, Any]:
    held = {"megabytes": 100.0, "descriptors": 40, "threads": 8}
    nothing = {"database_megabytes": None, "dead_rows": None, "live_rows": None}
    return {"seconds": seconds, "processes": dict.fromkeys(names, held), **nothing, **database}


def test_each_process_has_its_curve_and_what_could_not_be_asked_is_left_out() -> None:
    samples = [_sample(10.0, "rooms", "users", database_megabytes=90, dead_rows=5, live_rows=7), _sample(20.0, "rooms")]
    found = {panel.title: panel.curves for panel in soak.panels(samples)}
    assert [(curve.legend, list(curve.points)) for curve in found["Memory"]] == [
        ("rooms", [(10.0, 100_000_000.0), (20.0, 100_000_000.0)]),
        ("users", [(10.0, 100_000_000.0)]),
    ]
    assert [list(curve.points) for curve in found["Database, dead rows"]] == [[(10.0, 5)]]


@pytest.mark.parametrize("content", ["", "no JSON"], ids=["empty", "something else"])
def test_a_file_without_samples_is_one_sentence(
    tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "samples.jsonl"
    file.write_text(content)
    assert soak.main([str(file), str(tmp_path / "soak.png")]) == 1
    assert capsys.readouterr().err.startswith("soak: ")
