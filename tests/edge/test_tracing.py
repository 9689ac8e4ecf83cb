"""The edge's part of traces, from a real Envoy to whoever takes spans in OTLP, and with the service behind it."""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.edge.settings import EdgeSettings
from tests.edge.calling import GET, Call
from tests.support.collector import Collector, collecting
from tests.support.edge import Edge, running_edge
from tests.support.eventually import eventually
from tests.support.suite import Suite

_ENDPOINT, _TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
_CALLERS_SPAN = "b7ad6b7169203331"


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """Lend whoever takes spans of what is started from now on."""
    with collecting() as collector:
        monkeypatch.setenv(_ENDPOINT, collector.endpoint)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        yield collector


async def _call(edge: Edge, flags: str) -> str:
    """Make a call whose caller has a trace; return its id."""
    trace_id = secrets.token_hex(16)
    assert await Call().by("grpc", edge, traceparent=f"00-{trace_id}-{_CALLERS_SPAN}-{flags}") is None
    return trace_id


def _lines(edge: Edge) -> list[dict[str, str]]:
    lines = [json.loads(line) for line in edge.log.splitlines() if line.startswith("{")]
    return [line for line in lines if line.get("method") == GET]


async def test_a_call_whose_caller_asks_for_it_is_one_trace_of_edge_and_service(
    suite: Suite, short_path: Path, collector: Collector
) -> None:
    await suite.stop("users")
    await suite.start("users")
    await suite.make_users("alice", "bob")
    async with running_edge(suite, short_path, CHATKIT_TRACE_PERCENT="0") as edge:
        unwanted = [await _call(edge, "00"), await _call(edge, "00")]
        assert await Call().by("grpc", edge) is None
        assert (await edge.http.get(f"{GET}?a=secret")).status_code == 405
        trace_id = await _call(edge, "01")
        await eventually(lambda: {span.service for span in collector.of(trace_id)} == {"chatkit-edge", "chatkit-users"})
        spans = {span.span_id: span for span in collector.of(trace_id)}
        (of_edge,) = [span for span in spans.values() if span.service == "chatkit-edge"]
        (of_service,) = [span for span in spans.values() if span.name == GET.strip("/")]
        assert (of_edge.name, of_edge.parent_id) == (GET, _CALLERS_SPAN)
        assert (of_service.service, of_service.parent_id) == ("chatkit-users", of_edge.span_id)
        assert of_edge.attributes["guid:x-request-id"] == of_service.attributes["http.request.header.x-request-id"]
        assert GET not in of_edge.attributes["http.url"]
        # It was the last one, and spans arrive in the order of their calls.
        assert {span.trace_id for span in collector.spans} == {trace_id}
        await eventually(lambda: len(_lines(edge)) == 5)
        told = [line["trace_id"] for line in _lines(edge)]
        assert [*told[:2], told[4]] == [*unwanted, trace_id]
        # Each call has a trace, also one of which there are no spans.
        assert all(told)


async def test_calls_are_sampled_by_chance_and_pages_are_not(
    suite: Suite, short_path: Path, collector: Collector
) -> None:
    await suite.make_users("alice", "bob")
    async with running_edge(suite, short_path, CHATKIT_TRACE_PERCENT="100") as edge:
        for path in ("/", "/health"):
            assert (await edge.http.get(path)).status_code == 200
        unwanted = await _call(edge, "00")
        assert await Call().by("json", edge) is None
        await eventually(lambda: [span for span in collector.spans if span.name == GET])
        assert [span.name for span in collector.spans] == [GET]
        (span,) = collector.spans
        assert span.trace_id != unwanted
        assert span.parent_id == ""


async def test_a_collector_that_is_away_disturbs_no_call(suite: Suite, short_path: Path) -> None:
    away = {_ENDPOINT: "http://127.0.0.1:9", "CHATKIT_TRACE_PERCENT": "100"}
    await suite.make_users("alice", "bob")
    async with running_edge(suite, short_path, **away) as edge:
        for _ in range(20):
            await _call(edge, "01")
        await eventually(lambda: len(_lines(edge)) == 20)
        assert {line["grpc_status"] for line in _lines(edge)} == {"OK"}


async def test_without_a_collector_the_log_has_no_trace(edge: Edge) -> None:
    await _call(edge, "01")
    await eventually(lambda: _lines(edge))
    assert [line["trace_id"] for line in _lines(edge)] == [None]


@pytest.mark.parametrize(
    ("variables", "collector"),
    [
        ({}, ""),
        ({_ENDPOINT: "http://127.0.0.1:4317"}, "127.0.0.1:4317"),
        ({_ENDPOINT: "http://collector:4317/"}, "collector:4317"),
        ({_ENDPOINT: "http://[::1]:4317"}, "[::1]:4317"),
        ({_ENDPOINT: "http://a:1", _TRACES_ENDPOINT: "http://b:2"}, "b:2"),
        ({_ENDPOINT: "http://a:1", "OTEL_SDK_DISABLED": "true"}, ""),
        ({_ENDPOINT: "http://a:1", "OTEL_TRACES_EXPORTER": "none"}, ""),
    ],
)
def test_the_standard_variables_say_who_takes_spans(
    variables: dict[str, str], collector: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert EdgeSettings(instance="i").deployment.collector == collector


@pytest.mark.parametrize(
    "url", ["https://a:1", "a:4317", "http://a", "http://a:b", "http://:1", "http://a:1/v1/traces", "http://a:b@c:1"]
)
def test_a_form_that_envoy_can_not_use_is_refused_by_name(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(_ENDPOINT, url)
    with pytest.raises(ValueError, match=f"{_ENDPOINT} must be http://host:port"):
        _ = EdgeSettings(instance="i").deployment
