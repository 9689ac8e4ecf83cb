"""Spans on their way from whoever makes them into lines of a file."""

import json
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as pb2_grpc
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from services.runtime.release import Release
from services.runtime.tracing.otlp import OtlpSpans
from services.runtime.tracing.trace import POSTGRESQL, Trace
from services.stack.machine.ports import Port
from services.stack.machine.rotation import RotatingFile
from services.stack.traces.lines import lines
from services.stack.traces.receiver import SpanReceiver, receiving

_TRACE, _SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def address() -> Iterator[str]:
    """Lend an address that is held as `up` holds it."""
    port = Port("127.0.0.1")
    yield port.address
    port.release()


def _request(*spans: Span) -> pb2.ExportTraceServiceRequest:
    return pb2.ExportTraceServiceRequest(resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=spans)])])


def test_a_span_of_a_service_is_a_line_with_all_that_is_known_of_it(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=messages-2")
    monkeypatch.setenv("no_grpc_proxy", "127.0.0.1")
    path = tmp_path / "traces.jsonl"
    with receiving(address, RotatingFile(path, mode=0o600).write, pytest.fail):
        exporter = OTLPSpanExporter(endpoint=f"http://{address}")
        spans = OtlpSpans("messages", Release(""), SimpleSpanProcessor(exporter))
        trace = Trace(f"00-{_TRACE}-{_SPAN}-01")
        trace.add("database", trace.began, POSTGRESQL)
        spans.tell("a.Service/Method", "SERVER", trace, 0.25, {"chatkit.room_id": "lobby"}, is_error=True)
        spans.close()
    whole, stage = map(json.loads, path.read_text().splitlines())
    assert whole["end_ns"] - whole["start_ns"] == 250_000_000
    assert whole == {
        "trace_id": _TRACE,
        "span_id": trace.span_id,
        "parent_id": _SPAN,
        "name": "a.Service/Method",
        "kind": "SERVER",
        "start_ns": whole["start_ns"],
        "end_ns": whole["end_ns"],
        "is_error": True,
        "attributes": {"chatkit.room_id": "lobby"},
        "service": "chatkit-messages",
        "process": "messages-2",
    }
    assert (stage["name"], stage["parent_id"], stage["kind"]) == ("database", trace.span_id, "CLIENT")
    assert (stage["attributes"], stage["is_error"]) == (POSTGRESQL, False)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_attributes_of_all_kinds_are_taken_but_for_clients_addresses() -> None:
    inner = KeyValue(key="inner", value=AnyValue(double_value=0.5))
    values: dict[str, tuple[AnyValue, Any]] = {
        "text": (AnyValue(string_value="é\n"), "é\n"),
        "number": (AnyValue(int_value=7), 7),
        "truth": (AnyValue(bool_value=True), True),
        "bytes": (AnyValue(bytes_value=b"\xff"), "ff"),
        "nothing": (AnyValue(), None),
        "list": (AnyValue(array_value=ArrayValue(values=[AnyValue(string_value="lobby/1")])), ["lobby/1"]),
        "map": (AnyValue(kvlist_value=KeyValueList(values=[inner])), {"inner": 0.5}),
    }
    span = Span(attributes=[KeyValue(key=key, value=value) for key, (value, _) in values.items()])
    for name, value in {"peer.address": "192.0.2.1", "user_agent": "a browser"}.items():
        span.attributes.append(KeyValue(key=name, value=AnyValue(string_value=value)))
    span.kind = 99  # type: ignore[assignment]
    (line,) = lines(_request(span))
    assert line.count(b"\n") == 1
    told = json.loads(line)
    assert told["attributes"] == {key: plain for key, (_, plain) in values.items()}
    assert told["kind"] == "UNSPECIFIED"


def test_what_comes_too_fast_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = 10.0
    monkeypatch.setattr("services.runtime.seldom.monotonic", lambda: seconds)
    written: list[bytes] = []
    receiver = SpanReceiver(written.append, most=2)
    receiver.Export(_request(*[Span(name=f"{number}") for number in range(4)]), None)
    seconds = 11.0
    receiver.Export(_request(Span(name="4")), None)
    assert [json.loads(line)["name"] for line in b"".join(written).splitlines()] == ["0", "1", "4"]


def test_an_address_that_is_taken_is_said_and_nothing_else_happens() -> None:
    said: list[str] = []
    written: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with receiving(address, written.append, said.append):
            assert said == [f"no traces are kept: {address} can't be used"]


def test_a_file_that_can_not_be_written_disturbs_nobody(address: str, tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    path.symlink_to("/dev/full")
    with receiving(address, RotatingFile(path, mode=0o600).write, pytest.fail):
        options = (("grpc.enable_http_proxy", 0),)
        with grpc.insecure_channel(address, options=options) as channel:
            stub: Any = pb2_grpc.TraceServiceStub(channel)  # type: ignore[no-untyped-call]
            assert stub.Export(_request(Span(name="lost"))) == pb2.ExportTraceServiceResponse()
