"""Starts, and operations at sizes that grow, at services in this process: all of it is told, and nothing is lost."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from benchmarks.cli import faults
from benchmarks.figures import Options
from benchmarks.growth import run as growth
from benchmarks.suite import Say
from benchmarks.workloads import starts
from tests.benchmarks.measured import Measured, measured
from tests.support.suite import Suite

_SHORT = Options(0.2, quick=True)
_DONE = ("answered_in_all", "acknowledged", "read_states")


@pytest.mark.slow
async def test_starts_are_measured_in_every_way_beside_as_many_bytes_of_the_bare_server(suite: Suite) -> None:
    async with measured(suite) as bench:
        figures = await starts.run(bench, _SHORT)
    assert faults(figures) == []
    cases = [f"{name}, {rooms} rooms" for rooms in (20, 100) for name in ("first start", "back after a cut")]
    assert [(figure.case, figure.via) for figure in figures] == [
        (case, via) for case in cases for via in ("services", "edge", "bare")
    ]
    for direct, _, bare in zip(figures[::3], figures[1::3], figures[2::3], strict=True):
        assert direct.details["calls"] == bare.details["calls"] == (1 if "cut" in direct.case else 4)
        assert direct.details["frames"] == bare.details["frames"] > 0
        assert bare.details["kb_received"] == pytest.approx(direct.details["kb_received"], rel=0.2)
        assert "cpu_to_bare" in direct.details
    few, many = figures[0].details, figures[6].details
    assert (few["rooms"], few["read_states"], few["messages"]) == (20, 20, 60)
    assert (many["rooms"], many["read_states"], many["messages"]) == (100, 100, 60)
    assert many["kb_received"] > few["kb_received"]


@pytest.mark.slow
async def test_all_that_grows_is_doubled_and_each_operation_is_done_at_each_size(suite: Suite) -> None:
    replicas: list[int] = []

    @asynccontextmanager
    async def start(_say: Say, _past: int, **told: Mapping[str, int]) -> AsyncIterator[Measured]:
        replicas.extend(counts["messages"] for counts in told.values())
        yield bench

    async with measured(suite) as bench:
        figures = await growth.run(lambda _: None, replace(_SHORT, seconds=0.1), start)
    assert faults(figures) == []
    # So short a window can pass without an answer; over the whole time there is one at least.
    assert all(any(figure.details.get(name) for name in _DONE) for figure in figures)
    sizes = [(growing.name, growing.quick_first * times) for growing in growth.ALL for times in (1, 2)]
    sizes += [(growth.REPLICAS, 1), (growth.REPLICAS, 2)]
    assert [(figure.details["grows"], figure.details["size"]) for figure in figures] == sizes
    assert replicas == [1, 2]
    assert len({figure.unit for figure in figures}) == len(sizes) / 2
