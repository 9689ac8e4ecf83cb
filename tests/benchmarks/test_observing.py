"""`./chatkit bench observing`: it observes the one suite and not the other, and both do the same."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, cast

import grpc
import pytest

from benchmarks.echo import EXPORTED
from benchmarks.figures import Figure, Options
from benchmarks.observed_call import observed_call_us
from benchmarks.pairs import RATIOS
from benchmarks.suite import Suite, bare_server
from benchmarks.workloads.observing import NOTHING, Scraper, by_turns, variables
from services.runtime.release import Release
from services.runtime.tracing.otlp import open_otlp
from services.runtime.tracing.trace import Trace
from tests.support.eventually import eventually
from tests.support.serving import answering

_ENDPOINT, _SLOW = "OTEL_EXPORTER_OTLP_ENDPOINT", "CHATKIT_SLOW_CALL_SECONDS"


class _Suite:
    """A suite that says nothing."""

    def __init__(self, name: str) -> None:
        self.name = name

    def say(self, text: str) -> None:
        """Say who is measured."""
        assert text.endswith(self.name)


class _Scraper(Scraper):
    """Scrapes nothing, and knows whether it would."""

    def __init__(self) -> None:
        super().__init__((), 1.0)
        self.is_scraping = False

    @asynccontextmanager
    async def scraping(self) -> AsyncIterator[None]:
        """Scrape."""
        self.is_scraping = True
        yield
        self.answers += 1
        self.is_scraping = False


async def test_both_suites_are_measured_by_turns_and_only_the_observed_one_is_scraped() -> None:
    scraper, measured = _Scraper(), []

    async def measure(suite: Suite, options: Options, prefix: str) -> Figure:
        name = cast("Any", suite).name
        measured.append((name, prefix, scraper.is_scraping))
        rate = 100.0 if name == "nothing" else 99.0
        return Figure("W1", "a case", "edge", "send", rate, 1.0, 2.0, {"service": 5.0}, details={"refused": 1})

    suites = (cast("Suite", _Suite("nothing")), cast("Suite", _Suite("observed")))
    before, after = await by_turns("W1: sends", measure, *suites, scraper, Options(1.0, rounds=3))
    assert [name for name, _, _ in measured] == [
        *("nothing", "observed"),
        *("observed", "nothing"),
        *("nothing", "observed"),
    ]
    assert all(is_scraping == (name == "observed") for name, _, is_scraping in measured)
    # Rooms of a suite are made once.
    assert len({(name, prefix) for name, prefix, _ in measured}) == 6
    assert (before.case, after.case, after.workload) == ("W1: sends, nothing", "W1: sends, observed", "observing")
    assert (before.per_second, after.per_second, after.details["refused"]) == (100.0, 99.0, 3)
    assert after.details[RATIOS]["rate"]["median"] == pytest.approx(0.99)
    assert after.details["scrapes"] == 3


async def test_a_scraper_asks_again_and_again_as_prometheus_does() -> None:
    asked = []

    def answer(path: str, accept: str) -> tuple[HTTPStatus, str]:
        asked.append((path, accept.partition(";")[0]))
        return HTTPStatus.OK, ""

    with answering(answer) as address:
        scraper = Scraper([address], 0.01)
        async with scraper.scraping():
            await eventually(lambda: scraper.answers >= 3)
    assert set(asked) == {("/metrics", "application/openmetrics-text")}


def test_what_a_suite_is_told_is_told_to_no_other_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(_ENDPOINT, "http://somebody:4317")
    monkeypatch.delenv(_SLOW, raising=False)
    with variables(NOTHING):
        assert (os.environ.get(_ENDPOINT), os.environ.get(_SLOW)) == (None, "3600")
    assert (os.environ.get(_ENDPOINT), os.environ.get(_SLOW)) == ("http://somebody:4317", None)


async def test_the_bare_server_takes_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bare_server() as (address, _):
        monkeypatch.setenv(_ENDPOINT, f"http://{address}")
        spans = open_otlp("messages", Release(""))
        spans.tell("a.Service/Method", "SERVER", Trace(), 0.1, {})
        spans.close()
        async with grpc.aio.insecure_channel(address) as channel:
            ask: Any = channel.unary_unary(EXPORTED)
            assert int(await ask(b"")) > 0


def test_what_is_kept_of_each_call_is_timed() -> None:
    assert 0 < observed_call_us() < 1_000_000
