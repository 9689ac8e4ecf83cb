"""Spans as OpenTelemetry's SDK makes and sends them."""

from collections.abc import Iterator
from time import time_ns

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from services.runtime.release import Release
from services.runtime.tracing.otlp import OtlpSpans
from services.runtime.tracing.spans import open_spans
from services.runtime.tracing.trace import POSTGRESQL, Outgoing, Trace
from tests.support.collector import collecting

_TRACE, _SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
_TOLD = f"00-{_TRACE}-{_SPAN}-01"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_SERVICE_NAME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def made() -> InMemorySpanExporter:
    """Lend what takes spans."""
    return InMemorySpanExporter()


@pytest.fixture
def spans(made: InMemorySpanExporter) -> Iterator[OtlpSpans]:
    """Lend what makes them."""
    spans = OtlpSpans("messages", Release(""), SimpleSpanProcessor(made))
    yield spans
    spans.close()


def test_a_call_and_its_stages_have_the_ids_that_others_were_told(spans: OtlpSpans, made: InMemorySpanExporter) -> None:
    before = time_ns()
    trace = Trace(_TOLD)
    outgoing = Outgoing(trace)
    told = dict(outgoing.metadata)["traceparent"]
    outgoing.ended("call rooms")
    trace.add("database", trace.began, POSTGRESQL)
    trace.add("admission", trace.began)
    spans.tell("a.Service/Method", "SERVER", trace, 0.25, {"chatkit.user_id": "alice", "chatkit.reason": ""})
    whole, asked, database, admission = made.get_finished_spans()
    assert [span.name for span in (whole, asked, database, admission)] == [
        "a.Service/Method",
        "call rooms",
        "database",
        "admission",
    ]
    assert [span.kind for span in (whole, asked, database, admission)] == [
        SpanKind.SERVER,
        SpanKind.CLIENT,
        SpanKind.CLIENT,
        SpanKind.INTERNAL,
    ]
    assert whole.parent is not None
    assert (whole.context.trace_id, whole.parent.span_id) == (int(_TRACE, 16), int(_SPAN, 16))
    assert whole.attributes == {"chatkit.user_id": "alice"}
    assert {span.parent.span_id for span in (asked, database, admission) if span.parent} == {whole.context.span_id}
    assert told == f"00-{_TRACE}-{asked.context.span_id:016x}-01"
    assert whole.start_time is not None
    assert whole.end_time is not None
    assert before - 1_000_000 <= whole.start_time
    assert 249_000_000 < whole.end_time - whole.start_time < 251_000_000
    assert whole.resource.attributes["service.name"] == "chatkit-messages"


def test_a_trace_that_begins_here_has_a_first_span_and_a_fault_is_an_error(
    spans: OtlpSpans, made: InMemorySpanExporter
) -> None:
    trace = Trace("nonsense")
    spans.tell("a.Service/Method", "SERVER", trace, 0.0, {}, is_error=True)
    (whole,) = made.get_finished_spans()
    assert whole.parent is None
    assert f"{whole.context.trace_id:032x}" == trace.parent.trace_id
    assert whole.status.status_code is StatusCode.ERROR


def test_long_texts_are_cut_and_of_very_many_calls_a_second_some_are_told(
    spans: OtlpSpans, made: InMemorySpanExporter
) -> None:
    for _ in range(1_000):
        spans.tell("a.Service/Method", "SERVER", Trace(_TOLD), 0.0, {"chatkit.room_id": "x" * 10_000})
    told = made.get_finished_spans()
    # As many as a second has, and perhaps another second began.
    assert 0 < len(told) <= 600
    assert {len(str(span.attributes["chatkit.room_id"])) for span in told if span.attributes} == {256}


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_without_a_place_to_send_them_to_there_are_none(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert open_spans("users", Release("")) is None


def test_they_are_sent_where_the_standard_variable_says(monkeypatch: pytest.MonkeyPatch) -> None:
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
        spans = open_spans("users", Release(""))
        assert spans is not None
        spans.tell("a.Service/Method", "SERVER", Trace(_TOLD), 0.0, {})
        spans.close()
        assert [span.name for span in collector.spans] == ["a.Service/Method"]
