"""Figures are read as processes tell them, and quantiles are those of Prometheus."""

from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from socket import create_server

import pytest

from services.stack.figures.reading import between, figures_of, is_ready, of_each, parse, quantile, together
from tests.support.eventually import HANG_SECONDS
from tests.support.serving import serving

_TEXT = """\
# HELP calls_total Calls
# TYPE calls_total counter
calls_total{service="users",code="OK"} 3
calls_total{service="users",code="INTERNAL"} 1
calls_total{service="rooms",code="OK"} 5
# TYPE age_seconds gauge
age_seconds 0.25
# TYPE took_seconds histogram
took_seconds_bucket{service="users",le="0.5"} 1
took_seconds_bucket{service="users",le="+Inf"} 2
"""


def test_figures_are_found_by_their_labels_and_summed_up_over_the_others() -> None:
    figures = parse(_TEXT)
    assert figures.value("calls_total") == 9
    assert figures.value("calls_total", service="users") == 4
    assert figures.value("calls_total", service="files") is None
    assert figures.value("age_seconds") == 0.25
    assert figures.by("calls_total", "service") == {("users",): 4, ("rooms",): 5}
    assert figures.buckets("took_seconds", "service") == {("users",): {0.5: 1, inf: 2}}
    assert figures.buckets("unknown") == {}


@pytest.mark.parametrize(
    ("share", "buckets", "value"),
    [
        # Evenly within the bucket in which the rank falls, the lowest of which begins at 0.
        (0.5, {0.1: 10, 0.2: 10, inf: 10}, 0.05),
        (0.5, {0.1: 4, 0.2: 8, inf: 8}, 0.1),
        (0.75, {0.1: 4, 0.2: 8, inf: 8}, 0.15),
        (0.99, {0.1: 0, 0.2: 0, 0.4: 100, inf: 100}, 0.398),
        # Beyond all bounds: the highest of them.
        (0.99, {0.1: 1, 0.2: 1, inf: 2}, 0.2),
        (0.5, {0.1: 0, inf: 0}, None),
        (0.5, {0.1: 1}, None),
        (0.5, {}, None),
    ],
)
def test_a_quantile_is_interpolated_as_prometheus_does(
    share: float, buckets: dict[float, float], value: float | None
) -> None:
    assert quantile(share, buckets) == (None if value is None else pytest.approx(value))


def test_histograms_are_those_of_an_interval_and_of_replicas_together() -> None:
    before, after = {0.1: 5.0, inf: 6.0}, {0.1: 8.0, inf: 10.0}
    assert between(before, after) == {0.1: 3, inf: 4}
    assert between({}, after) == after
    assert together([before, after]) == {0.1: 13, inf: 16}


def test_who_answers_is_read_and_who_does_not_is_none() -> None:
    with serving({"/metrics": _TEXT, "/readyz": "ready"}) as address, _silent() as silent:
        addresses = {"one": address, "away": "127.0.0.1:1", "silent": silent}
        found = of_each(addresses, lambda one: figures_of(one, seconds=0.2 if one == silent else HANG_SECONDS))
        assert found["one"] == parse(_TEXT)
        assert (found["away"], found["silent"]) == (None, None)
        assert (is_ready(address), is_ready("127.0.0.1:1")) == (True, None)
    assert of_each({}, figures_of) == {}


@pytest.mark.parametrize("text", ["<html>", 'calls{service="users"} many\n', None])
def test_what_is_no_figures_is_none(text: str | None) -> None:
    with serving({} if text is None else {"/metrics": text}) as address:
        assert figures_of(address) is None
        assert is_ready(address) is False


@contextmanager
def _silent() -> Iterator[str]:
    """Take connections, and never answer."""
    with create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"
