"""Whoever takes spans, in OTLP over gRPC, and keeps them for a test to look at."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as pb2_grpc


@dataclass(frozen=True, slots=True)
class Taken:
    """A span that was taken; ids are in hex, and no parent is the empty one."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Any]


class Collector(pb2_grpc.TraceServiceServicer):
    """Takes spans at `endpoint`."""

    def __init__(self, endpoint: str = "") -> None:
        self.endpoint = endpoint
        self.spans: list[Taken] = []

    def Export(
        self, request: pb2.ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> pb2.ExportTraceServiceResponse:
        """Take what is sent."""
        del context
        for told in request.resource_spans:
            service = _plain(told.resource.attributes).get("service.name", "")
            self.spans += [
                Taken(
                    service,
                    span.name,
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                    _plain(span.attributes),
                )
                for of in told.scope_spans
                for span in of.spans
            ]
        return pb2.ExportTraceServiceResponse()

    def of(self, trace_id: str) -> list[Taken]:
        """Return what was taken of a trace."""
        return [span for span in self.spans if span.trace_id == trace_id]


@contextmanager
def collecting() -> Iterator[Collector]:
    """Take spans while the context is open."""
    collector, server = Collector(), grpc.server(ThreadPoolExecutor(1))
    pb2_grpc.add_TraceServiceServicer_to_server(collector, server)  # type: ignore[no-untyped-call]
    collector.endpoint = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield collector
    finally:
        server.stop(None).wait()


def _plain(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}
