"""Spans as lines of a file: what OTLP says of each, as one JSON object."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status

# Kinds of later versions are as good as none.
_KINDS = {number: name.removeprefix("SPAN_KIND_") for name, number in OtlpSpan.SpanKind.items()}
# Envoy tells them of each call, and nobody erases from here who a client is.
_LEFT_OUT = {"peer.address", "user_agent"}
_SERVICE, _PROCESS = "service.name", "service.instance.id"


def lines(request: ExportTraceServiceRequest) -> Iterator[bytes]:
    """Yield a line for each span; ids are in hex, and times are in nanoseconds since 1970."""
    for told in request.resource_spans:
        own = _plain(told.resource.attributes)
        whose = {"service": own.get(_SERVICE, ""), "process": own.get(_PROCESS, "")}
        for of in told.scope_spans:
            for span in of.spans:
                yield json.dumps(_span(span) | whose, separators=(",", ":")).encode() + b"\n"


def _span(span: OtlpSpan) -> dict[str, Any]:
    return {
        "trace_id": span.trace_id.hex(),
        "span_id": span.span_id.hex(),
        "parent_id": span.parent_span_id.hex(),
        "name": span.name,
        "kind": _KINDS.get(span.kind, "UNSPECIFIED"),
        "start_ns": span.start_time_unix_nano,
        "end_ns": span.end_time_unix_nano,
        "is_error": span.status.code == Status.STATUS_CODE_ERROR,
        "attributes": _plain(span.attributes),
    }


def _plain(attributes: Iterable[KeyValue]) -> dict[str, Any]:
    return {one.key: _value(one.value) for one in attributes if one.key not in _LEFT_OUT}


def _value(value: AnyValue) -> Any:
    match value.WhichOneof("value"):
        case None:
            return None
        case "array_value":
            return [_value(one) for one in value.array_value.values]
        case "kvlist_value":
            return _plain(value.kvlist_value.values)
        case "bytes_value":
            return value.bytes_value.hex()
        case kind:
            return getattr(value, kind)
