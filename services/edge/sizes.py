"""How large a request may be: counted as it arrives, and held back until it is whole, so that no piece gets through.

Envoy's buffer filter holds back but does not count a body that arrives at once; the one that counts holds nothing
back. Together they let nothing over a method's size reach a service.
"""

from collections.abc import Iterable

from chatkit.contract.v1 import limit_pb2

from services.edge import public
from services.edge.parts import Json, extension, switched_on, typed
from services.runtime.contract import Limits, MethodContract, limit_name

BUFFER_FILTER = "envoy.filters.http.buffer"
COUNT_FILTER = "envoy.filters.http.body_size_limit"
# What bounds content, whose route is no method's.
CONTENT_LIMIT = limit_pb2.LIMIT_FILE_BYTES
# A gRPC body is a message with five bytes before it.
_FRAME_BYTES = 5


def size_filters(limits: Limits) -> Iterable[Json]:
    """Yield the filters: one that counts for every limit that a method names, and one that holds back."""
    for limit in counted():
        counter = typed(
            f"{COUNT_FILTER}.{limit_name(limit)}",
            "filters.http.body_size_limit.v3.BodySizeLimit",
            max_request_bytes=limits[limit] + _FRAME_BYTES,
        )
        yield {**counter, "disabled": True}
    largest = max(limits[method.policy.request_bytes] for _, method in public.methods())
    yield typed(BUFFER_FILTER, "filters.http.buffer.v3.Buffer", max_request_bytes=largest + _FRAME_BYTES)


def counted() -> list[int]:
    """List the limits that bodies are counted by."""
    return sorted({CONTENT_LIMIT, *(method.policy.request_bytes for _, method in public.methods())})


def size_of_content() -> Json:
    """Return what the route of content says to those filters: it is counted, and never held back."""
    return {
        f"{COUNT_FILTER}.{limit_name(CONTENT_LIMIT)}": switched_on(),
        BUFFER_FILTER: extension("filters.http.buffer.v3.BufferPerRoute", disabled=True),
    }


def size_of(method: MethodContract, limits: Limits) -> Json:
    """Return what a method's route says to those filters; the service itself counts requests that are a stream."""
    limit = method.policy.request_bytes
    if method.streams_requests:
        return {BUFFER_FILTER: extension("filters.http.buffer.v3.BufferPerRoute", disabled=True)}
    buffer = {"max_request_bytes": limits[limit] + _FRAME_BYTES}
    return {
        f"{COUNT_FILTER}.{limit_name(limit)}": switched_on(),
        BUFFER_FILTER: extension("filters.http.buffer.v3.BufferPerRoute", buffer=buffer),
    }
