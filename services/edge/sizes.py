"""How large a request may be: counted as it arrives, and held back until it is whole, so that no piece gets through.

Envoy's buffer filter holds back but does not count a body that arrives at once; the one that counts holds nothing
back. Together they let nothing over a method's size reach a service.
"""

from collections.abc import Iterable

from services.edge import public
from services.edge.parts import Json, extension, switched_on, typed
from services.runtime.contract import Limits, MethodContract, limit_name

BUFFER_FILTER = "envoy.filters.http.buffer"
COUNT_FILTER = "envoy.filters.http.body_size_limit"
# A gRPC body is a message with five bytes before it.
_FRAME_BYTES = 5


def size_filters(limits: Limits) -> Iterable[Json]:
    """Yield the filters: one that counts for every limit that a method names, and one that holds back."""
    for limit in sorted({method.policy.request_bytes for _, method in public.methods()}):
        counter = typed(
            f"{COUNT_FILTER}.{limit_name(limit)}",
            "filters.http.body_size_limit.v3.BodySizeLimit",
            max_request_bytes=limits[limit] + _FRAME_BYTES,
        )
        yield {**counter, "disabled": True}
    largest = max(limits[method.policy.request_bytes] for _, method in public.methods())
    yield typed(BUFFER_FILTER, "filters.http.buffer.v3.Buffer", max_request_bytes=largest + _FRAME_BYTES)


def size_of(method: MethodContract, limits: Limits) -> Json:
    """Return what a method's route says to those filters."""
    limit = method.policy.request_bytes
    buffer = {"max_request_bytes": limits[limit] + _FRAME_BYTES}
    return {
        f"{COUNT_FILTER}.{limit_name(limit)}": switched_on(),
        BUFFER_FILTER: extension("filters.http.buffer.v3.BufferPerRoute", buffer=buffer),
    }
