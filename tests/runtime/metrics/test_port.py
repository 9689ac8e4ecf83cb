"""What a process tells on its port of figures, also while its loop stands still and while others hold connections."""

import asyncio
import select
import socket
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from services.runtime.metrics.port import MetricsPort
from services.runtime.metrics.registry import Metrics
from tests.support.eventually import eventually, until

_TRACE = "0af7651916cd43dd8448eb211c80319c"
_OPENMETRICS = {"accept": "application/openmetrics-text; version=1.0.0"}


class Process:
    """A process with one figure, which is ready when the test says so."""

    def __init__(self) -> None:
        self.is_ready = False
        self.fish = 2
        self.metrics = Metrics()
        self.metrics.count("chatkit_fish", "Fish that were caught", self._fish_of_places, ["place"])
        self.port = MetricsPort(
            "127.0.0.1:0",
            self.metrics,
            lambda: self.is_ready,
            more={"/fish": lambda: {"count": self.fish}},
            loop_seconds=0.2,
        )

    def _fish_of_places(self) -> Mapping[tuple[str, ...], float]:
        return {("pond",): self.fish}

    def get(self, path: str, **headers: str) -> httpx.Response:
        """Ask, in a thread that is not the loop's."""
        return httpx.get(f"http://{self.port.address}{path}", headers=headers, trust_env=False)


@asynccontextmanager
async def _running() -> AsyncIterator[Process]:
    process = Process()
    try:
        yield process
    finally:
        await process.port.close()


async def test_figures_are_told_in_both_forms_as_they_are_when_asked_for() -> None:
    async with _running() as process:
        process.fish = 3
        answer = await asyncio.to_thread(process.get, "/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=")
        (sample,) = [sample for family in parse(answer.text) for sample in family.samples]
        assert (sample.name, sample.labels, sample.value) == ("chatkit_fish_total", {"place": "pond"}, 3)
        answer = await asyncio.to_thread(process.get, "/metrics?all=1", **_OPENMETRICS)
        assert answer.headers["content-type"].startswith("application/openmetrics-text")
        families = list(parse_openmetrics(answer.text))  # type: ignore[no-untyped-call]
        assert [family.documentation for family in families] == ["Fish that were caught"]


async def test_examples_are_told_to_those_who_ask_for_openmetrics_and_nothing_changes_for_others() -> None:
    async with _running() as process:
        seconds = process.metrics.histograms("chatkit_bites_seconds", "How long fish took", ["place"], [1, 2])
        for value in (0.5, 1.5, 1.5):
            seconds["pond",].observe(value)
        before = (await asyncio.to_thread(process.get, "/metrics")).text
        seconds["pond",].exemplify(1.5, _TRACE)
        assert (await asyncio.to_thread(process.get, "/metrics")).text == before
        answer = await asyncio.to_thread(process.get, "/metrics", **_OPENMETRICS)
        families = parse_openmetrics(answer.text)  # type: ignore[no-untyped-call]
        samples = [sample for family in families for sample in family.samples if sample.exemplar]
        (sample,) = samples
        assert (sample.name, sample.labels) == ("chatkit_bites_seconds_bucket", {"place": "pond", "le": "2.0"})
        assert (sample.value, sample.exemplar.value, sample.exemplar.labels) == (3, 1.5, {"trace_id": _TRACE})
        assert sample.exemplar.timestamp is not None


async def test_a_process_is_alive_before_it_is_ready() -> None:
    async with _running() as process:
        assert (await asyncio.to_thread(process.get, "/healthz")).status_code == 200
        assert (await asyncio.to_thread(process.get, "/readyz")).status_code == 503
        process.is_ready = True
        assert (await asyncio.to_thread(process.get, "/readyz")).text == "ready\n"
        answer = await asyncio.to_thread(process.get, "/")
        assert (answer.status_code, answer.text) == (404, "here are /metrics, /healthz, /readyz, /fish\n")


async def test_what_else_there_is_has_a_page_in_json() -> None:
    async with _running() as process:
        answer = await asyncio.to_thread(process.get, "/fish")
        assert (answer.headers["content-type"], answer.json()) == ("application/json", {"count": 2})


async def test_a_process_whose_loop_stands_still_says_so() -> None:
    async with _running() as process:
        answers: list[httpx.Response] = []
        asking = threading.Thread(target=lambda: answers.extend(map(process.get, ("/healthz", "/readyz", "/metrics"))))
        asking.start()
        # Here stands the loop.
        asking.join()
        assert [answer.status_code for answer in answers] == [503, 503, 503]
        assert answers[0].text == "the process stands still: the loop has not answered for 0.2 s\n"
        assert (await asyncio.to_thread(process.get, "/healthz")).status_code == 200


async def test_those_who_hold_connections_take_few_places_and_only_for_as_long_as_they_do() -> None:
    async with _running() as process:
        host, _, port = process.port.address.rpartition(":")
        silent = [socket.create_connection((host, int(port))) for _ in range(20)]
        await eventually(lambda: len(select.select(silent, [], [], 0)[0]) == 20 - 8)
        for connection in silent:
            connection.close()

        async def is_answered() -> bool:
            try:
                return (await asyncio.to_thread(process.get, "/healthz")).is_success
            except httpx.TransportError:
                return False

        await until(is_answered)


async def test_an_address_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(OSError, match=f"{address} can't be listened on: Address already in use"):
            MetricsPort(address, Metrics(), lambda: True)
