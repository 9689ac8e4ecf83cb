"""Takes spans in OTLP over gRPC and writes them into a file, in a thread of the process of `up`.

Spans may be lost, and nothing else: whoever sends them waits for nobody, and the suite runs without them.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as pb2_grpc

from services.runtime.seldom import Seldom
from services.stack.traces.lines import lines

# Each costs some 20 us, and an edge under load would send one for each call.
_MOST_A_SECOND = 5_000
# What waits beside the request that is taken; senders whose requests are refused drop them.
_MOST_WAITING = 16
_CLOSE_SECONDS = 1.0

Write = Callable[[bytes], None]


class SpanReceiver(pb2_grpc.TraceServiceServicer):
    """Hands the spans of each request to `write` as lines; `most` is how many of them there are in a second."""

    def __init__(self, write: Write, most: int = _MOST_A_SECOND) -> None:
        self._write = write
        self._places = Seldom(most)

    def Export(self, request: pb2.ExportTraceServiceRequest, context: object) -> pb2.ExportTraceServiceResponse:
        """Take spans."""
        del context
        self._write(b"".join(line for line in lines(request) if self._places.take() is not None))
        return pb2.ExportTraceServiceResponse()


@contextmanager
def receiving(address: str, write: Write, say: Callable[[str], None]) -> Iterator[None]:
    """Take spans at an address while the context is open; where that can't be done, it is said and none are taken."""
    server = grpc.server(ThreadPoolExecutor(1, thread_name_prefix="spans"), maximum_concurrent_rpcs=_MOST_WAITING)
    pb2_grpc.add_TraceServiceServicer_to_server(SpanReceiver(write), server)  # type: ignore[no-untyped-call]
    try:
        server.add_insecure_port(address)
    except RuntimeError:
        say(f"no traces are kept: {address} can't be used")
        yield
        return
    server.start()
    try:
        yield
    finally:
        server.stop(_CLOSE_SECONDS).wait()
