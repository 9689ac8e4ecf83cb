"""Spans by OpenTelemetry's SDK, which puts them into batches and sends them from a thread of its own.

Its variables hold: headers, certificates, the size of batches, what is said of the process.
"""

import os
import secrets
from collections.abc import Mapping
from time import monotonic, time_ns
from typing import Any

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import NonRecordingSpan, SpanKind, TraceFlags, set_span_in_context
from opentelemetry.trace import SpanContext as OtelContext
from opentelemetry.trace.status import Status, StatusCode

from services.runtime.release import Release
from services.runtime.tracing.context import SpanContext
from services.runtime.tracing.trace import Stage, Trace

# More than that of one process would tell nothing new, and any caller may ask for a sample of each of their calls.
_MOST_A_SECOND = 200
_LONGEST_VALUE = 256
_CLOSE_MILLISECONDS = 2_000
_NANO = 1_000_000_000
_ERROR = Status(StatusCode.ERROR)


def open_otlp(service: str, release: Release) -> "OtlpSpans":
    """Return who makes spans and sends them where the environment says."""
    return OtlpSpans(service, release, BatchSpanProcessor(OTLPSpanExporter()))


class OtlpSpans:
    """Makes spans, each with the ids that others were told before it was made."""

    def __init__(self, service: str, release: Release, processor: SpanProcessor) -> None:
        self._ids = _Ids()
        own: dict[str, Any] = {
            "service.name": f"chatkit-{service}",
            "service.version": release.version,
            "process.pid": os.getpid(),
        }
        # What the environment says of the process goes first; where it says nothing, the SDK says "unknown_service".
        told = {key: value for key, value in Resource.create().attributes.items() if key != "service.name"}
        if name := os.environ.get("OTEL_SERVICE_NAME"):
            told["service.name"] = name
        self._provider = TracerProvider(
            # What is worth a span is decided at the edge and where the call was seen.
            sampler=ALWAYS_ON,
            resource=Resource(own | told),
            id_generator=self._ids,
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("chatkit", release.version)
        self._second = self._count = 0

    def tell(
        self,
        name: str,
        kind: str,
        trace: Trace,
        seconds: float,
        attributes: Mapping[str, Any],
        *,
        is_error: bool = False,
    ) -> None:
        """Make a span of what was kept, and one of each of its stages."""
        if not self._has_place():
            return
        own = trace.context
        whole = Stage(name, trace.began, trace.began + seconds, attributes, own.span_id or "")
        self._make(whole, SpanKind[kind], trace.parent, is_error=is_error)
        for stage in trace.stages:
            calls_others = stage.span_id or "db.system.name" in stage.attributes
            self._make(stage, SpanKind.CLIENT if calls_others else SpanKind.INTERNAL, own)

    def close(self) -> None:
        """Send what was not sent yet, if that does not take long."""
        self._provider.force_flush(_CLOSE_MILLISECONDS)
        self._provider.shutdown()

    def _make(self, stage: Stage, kind: SpanKind, parent: SpanContext, *, is_error: bool = False) -> None:
        self._ids.trace_id, self._ids.span_id = parent.trace_id, stage.span_id
        # Clocks of the wall may be set; between two stages of a call none of them steps.
        wall = time_ns() - int(monotonic() * _NANO)
        attributes = {key: _cut(value) for key, value in stage.attributes.items() if value != ""}
        began = wall + int(stage.began * _NANO)
        span = self._tracer.start_span(stage.name, _within(parent), kind, attributes, start_time=began)
        if is_error:
            span.set_status(_ERROR)
        span.end(wall + int(stage.ended * _NANO))

    def _has_place(self) -> bool:
        second = int(monotonic())
        if second != self._second:
            self._second, self._count = second, 0
        self._count += 1
        return self._count <= _MOST_A_SECOND


class _Ids(IdGenerator):
    """Gives the ids that the next span is to have."""

    def __init__(self) -> None:
        self.trace_id = self.span_id = ""

    def generate_trace_id(self) -> int:
        """Return the trace's id, where it begins with the span."""
        return int(self.trace_id, 16)

    def generate_span_id(self) -> int:
        """Return the span's id, a new one where nobody was told one."""
        return int(self.span_id or secrets.token_hex(8), 16)


def _within(parent: SpanContext) -> Context:
    if parent.span_id is None:
        return Context()
    named = OtelContext(
        int(parent.trace_id, 16), int(parent.span_id, 16), is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED)
    )
    return set_span_in_context(NonRecordingSpan(named), Context())


def _cut(value: Any) -> Any:
    return value[:_LONGEST_VALUE] if isinstance(value, str) else value
