"""How large a request may be: counted as it arrives, and held back until it is whole, so that no piece gets through.

Envoy's buffer filter holds back but does not count a body that arrives at once; the one that counts holds nothing
back. Together they let nothing over a method's size reach a service.
"""

from collections.abc import Iterable

from chatkit.contract.v1 import limit_pb2, method_policy_pb2

from services.edge import public
from services.edge.rendering.parts import Json, extension, switched_on, typed
from services.runtime.contract.policies import Limits, MethodContract, limit_name

BUFFER_FILTER = "envoy.filters.http.buffer"
COUNT_FILTER = "envoy.filters.http.body_size_limit"
# What bounds content, whose route is no method's.
CONTENT_LIMIT = limit_pb2.LIMIT_FILE_BYTES
# Files reads that much more away before it refuses, for clients that do not listen while they send.
CONTENT_SLACK_BYTES = 64 * 1024 * 1024
# A gRPC body is a message with five bytes before it.
_FRAME_BYTES = 5
# JSON may be so many times as long as its message. It may need more only where nearly all is escaped, and what is held
# back of it is the edge's memory.
_JSON_FACTOR = 2
# What users send is bounded by this as well: somebody who leaves as many bodies unfinished as the rates allow then
# holds a sixth of what Envoy may have, and not several times that. A thousand rooms with positions are half of it.
_JSON_BYTES_OF_USER = 512 * 1024


def json_size_filters(limits: Limits) -> Iterable[Json]:
    """Yield the filters that count JSON before it is made a message of, which holds back all of it."""
    for most in sorted({most for _, most in in_json(limits)}):
        yield _counter(_json_counter(most), most)


def in_json(limits: Limits) -> list[tuple[int, int]]:
    """List each limit of size that methods have, with how long their JSON may be."""
    methods = (method for _, method in public.methods())
    return sorted({(method.policy.request_bytes, json_bytes(method, limits)) for method in methods})


def json_bytes(method: MethodContract, limits: Limits) -> int:
    """Return how long the JSON of a method's request may be."""
    most = _JSON_FACTOR * limits[method.policy.request_bytes]
    return most if method.policy.audience == method_policy_pb2.AUDIENCE_SUPERUSER else min(most, _JSON_BYTES_OF_USER)


def largest_json(limits: Limits) -> int:
    """Return the size of the largest JSON that a method takes."""
    return max(most for _, most in in_json(limits))


def size_filters(limits: Limits) -> Iterable[Json]:
    """Yield the filters: one that counts for every limit that a method names, and one that holds back."""
    for limit in sorted({CONTENT_LIMIT, *_counted_in_methods()}):
        more = CONTENT_SLACK_BYTES if limit == CONTENT_LIMIT else _FRAME_BYTES
        yield _counter(f"{COUNT_FILTER}.{limit_name(limit)}", limits[limit] + more)
    largest = largest_request(limits)
    yield typed(BUFFER_FILTER, "filters.http.buffer.v3.Buffer", max_request_bytes=largest + _FRAME_BYTES)


def largest_request(limits: Limits) -> int:
    """Return the size of the largest message that a method takes."""
    return max(limits[limit] for limit in _counted_in_methods())


def _counted_in_methods() -> list[int]:
    return sorted({method.policy.request_bytes for _, method in public.methods()})


def _counter(name: str, most: int) -> Json:
    counter = typed(name, "filters.http.body_size_limit.v3.BodySizeLimit", max_request_bytes=most)
    return {**counter, "disabled": True}


def _json_counter(most: int) -> str:
    return f"{COUNT_FILTER}.json.{most}"


def size_of_content() -> Json:
    """Return what the route of content says to those filters: it is counted, and never held back."""
    return {f"{COUNT_FILTER}.{limit_name(CONTENT_LIMIT)}": switched_on(), **never_held_back()}


def never_held_back() -> Json:
    """Return what a route says to the filter that holds back where the pieces of a body go on one by one."""
    return {BUFFER_FILTER: extension("filters.http.buffer.v3.BufferPerRoute", disabled=True)}


def size_of(method: MethodContract, limits: Limits) -> Json:
    """Return what a method's route says to those filters; the service itself counts requests that are a stream."""
    limit = method.policy.request_bytes
    if method.streams_requests:
        return never_held_back()
    # What counts a message goes before it. JSON that was held back already is here for a moment, too.
    buffer = {"max_request_bytes": max(json_bytes(method, limits), limits[limit] + _FRAME_BYTES)}
    return {
        _json_counter(json_bytes(method, limits)): switched_on(),
        f"{COUNT_FILTER}.{limit_name(limit)}": switched_on(),
        BUFFER_FILTER: extension("filters.http.buffer.v3.BufferPerRoute", buffer=buffer),
    }
