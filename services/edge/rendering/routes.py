"""The routes: one per method that clients may call, with what its policy declares.

What has no route does not exist for clients, so methods between services can't be reached through the edge. Every rule
holds unless a route says that it does not, so a route that forgets one is refused and not open. A method has one
spelling, without a query: where no token is asked for, no filter may make another path of what came, because Envoy
would choose the route anew, and the rules that the first one has switched off would stay off.
"""

import re
from collections.abc import Sequence

from services.edge import public
from services.edge.deployment import Deployment
from services.edge.rendering.compression import COMPRESSOR_FILTER
from services.edge.rendering.pages import page_routes
from services.edge.rendering.parts import Json, extension, switched_off
from services.edge.rendering.rates import COST, JSON_SIZE, LIMIT_OF, METADATA, RATE, RATE_FILTER, SIZE, cost_of
from services.edge.rendering.route_parts import (
    OF_CONTENT,
    OF_METHODS,
    TRANSCODER_FILTER,
    for_anyone,
    method_is,
    method_is_of,
    other_verbs,
    path_is,
    response_header,
)
from services.edge.rendering.sizes import CONTENT_LIMIT, json_bytes, never_held_back, size_of, size_of_content
from services.edge.rendering.tokens import CLAIMS_FILTER, JWT_FILTER
from services.edge.rendering.tracing import unsampled
from services.runtime.calls.edge_header import EDGE_HEADER
from services.runtime.contract.policies import Limits, MethodContract, limit_name

CORS_FILTER = "envoy.filters.http.cors"
GRPC_WEB_FILTER = "envoy.filters.http.grpc_web"
STREAM_IDLE_SECONDS = 60
# The service's own answer to a deadline says more than ours, so it gets this much time to arrive.
_SLACK_SECONDS = 0.5
# How long a client may take nothing of an answer that is complete, as far as the edge has it: of what the edge says
# itself, of a call, which has no longer anyway, and of content.
OWN_FLUSH_SECONDS, _FLUSH_SECONDS, _CONTENT_FLUSH_SECONDS = 2, 10, 30
_REFLECTION_SECONDS = 30
_DIRECT_RESPONSE_BYTES = 1024 * 1024
# Only what can't have reached a service; the contract says which methods may be repeated at all.
_RETRY_ON = "connect-failure,refused-stream,reset-before-request"
# Content may be fetched and sent any number of times, so here what broke off before it was answered is repeated, too.
_RETRY_CONTENT_ON = "connect-failure,refused-stream,reset"
_RETRIES = 2
# How often a replica is drawn until it is one that was not tried yet; of two, each draw is wrong every other time.
_DRAWS = 10
# Of a body this much is kept to be sent again. What has brought more is not repeated, and costs no more memory.
_KEPT_CONTENT_BYTES = 64 * 1024
QUERY = "query"
_CORS_SECONDS = 3600
_CORS_REQUEST_HEADERS = (
    "authorization,content-type,grpc-timeout,if-none-match,if-range,range,"
    "traceparent,tracestate,x-grpc-web,x-user-agent"
)
_CORS_RESPONSE_HEADERS = (
    "grpc-status,grpc-message,grpc-status-details-bin,retry-after,x-request-id,"
    "content-disposition,content-range,accept-ranges,etag"
)


def route_configuration(deployment: Deployment, limits: Limits) -> Json:
    """Return Envoy's route configuration."""
    cors_origins = deployment.cors_origins
    host: Json = {
        "name": "chatkit",
        "domains": ["*"],
        "routes": [
            *([_preflight()] if cors_origins else []),
            *(_method(cluster, method, limits) for cluster, method in public.methods()),
            *map(_reflection, public.REFLECTION_PATHS),
            _with_a_query(),
            other_verbs({"safe_regex": {"regex": "|".join(map(re.escape, _paths()))}}, OF_METHODS),
            _content(),
            other_verbs({"prefix": public.CONTENT_PATH}, OF_CONTENT),
            *({**route, **unsampled(deployment)} for route in page_routes(deployment, limits)),
            _nothing(),
        ],
    }
    if cors_origins:
        host["typed_per_filter_config"] = {CORS_FILTER: _cors(cors_origins)}
    return {
        "name": "chatkit",
        "max_direct_response_body_size_bytes": _DIRECT_RESPONSE_BYTES,
        "virtual_hosts": [host],
        # By which services end the streams of an edge that ends.
        "request_headers_to_add": [
            {"header": {"key": EDGE_HEADER, "value": deployment.name}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
        ],
    }


def _method(cluster: str, method: MethodContract, limits: Limits) -> Json:
    return {
        # The path is compared without its query, the header with it.
        "match": {"path": method.path, "headers": [method_is("POST"), path_is(exact=method.path)]},
        "route": {
            "cluster": cluster,
            **_deadline(method),
            "idle_timeout": f"{STREAM_IDLE_SECONDS}s",
            "flush_timeout": f"{_FLUSH_SECONDS}s",
            **_retries(method),
        },
        # JSON is held back before it is a message, and may be longer than what a connection keeps otherwise.
        **({} if method.streams_requests else {"request_body_buffer_limit": json_bytes(method, limits)}),
        "metadata": {"filter_metadata": {METADATA: _limits_of(method, limits)}},
        **_answers_of(method, limits),
    }


def _answers_of(method: MethodContract, limits: Limits) -> Json:
    """Let streams pass as they come: nothing keeps them to be shown again, or until there is enough to compress."""
    config = size_of(method, limits)
    if not method.streams:
        return {"typed_per_filter_config": config}
    return {
        "response_headers_to_add": [response_header("cache-control", "no-cache")],
        "typed_per_filter_config": {**config, COMPRESSOR_FILTER: switched_off()},
    }


def _content() -> Json:
    """Take and give the content of files: whoever shows a signed URL needs no token, and the service checks it."""
    return {
        "match": {"prefix": public.CONTENT_PATH, "headers": [method_is_of(OF_CONTENT)]},
        "route": {
            "cluster": public.CONTENT_CLUSTER,
            "timeout": "0s",
            "idle_timeout": f"{STREAM_IDLE_SECONDS}s",
            "flush_timeout": f"{_CONTENT_FLUSH_SECONDS}s",
            "retry_policy": _elsewhere(_RETRY_CONTENT_ON),
        },
        "request_body_buffer_limit": _KEPT_CONTENT_BYTES,
        # What a browser keeps of an answer to one origin is no answer to another.
        "response_headers_to_add": [response_header("vary", "origin")],
        "metadata": {"filter_metadata": {METADATA: {SIZE: limit_name(CONTENT_LIMIT)}}},
        # Content of whatever type stays as it is.
        "typed_per_filter_config": {
            **for_anyone(),
            **size_of_content(),
            GRPC_WEB_FILTER: switched_off(),
            COMPRESSOR_FILTER: switched_off(),
        },
    }


def _reflection(path: str) -> Json:
    """Tell anyone what the contract is; the stream is bounded by its time, and each of its requests by who answers."""
    off = (JWT_FILTER, CLAIMS_FILTER, RATE_FILTER, TRANSCODER_FILTER)
    return {
        "match": {"path": path, "headers": [method_is("POST"), path_is(exact=path)]},
        "route": {
            "cluster": public.REFLECTION_CLUSTER,
            "timeout": "0s",
            "max_stream_duration": {"max_stream_duration": f"{_REFLECTION_SECONDS}s"},
            "idle_timeout": f"{_REFLECTION_SECONDS}s",
            "flush_timeout": f"{_FLUSH_SECONDS}s",
        },
        "typed_per_filter_config": {**{name: switched_off() for name in off}, **never_held_back()},
    }


def longest_request() -> float:
    """Return the seconds that a request may take to arrive: as many as the slowest upload has.

    What is answered while it arrives is bounded by its token.
    """
    uploads = (one for _, one in public.methods() if one.streams_requests and not one.streams)
    return max(upload.policy.deadline_ms for upload in uploads) / 1000 + _SLACK_SECONDS


def _deadline(method: MethodContract) -> Json:
    """Bound a call, whatever the client asks for; a stream ends with its token."""
    if method.streams:
        return {"timeout": "0s"}
    seconds = f"{method.policy.deadline_ms / 1000 + _SLACK_SECONDS:g}s"
    # The second bounds calls that say how long they wait, the first those that do not.
    bounds = {"max_stream_duration": seconds, "grpc_timeout_header_max": seconds}
    return {"timeout": seconds, "max_stream_duration": bounds}


def _retries(method: MethodContract) -> Json:
    return {"retry_policy": _elsewhere(_RETRY_ON)} if method.policy.repeatable else {}


def _elsewhere(retry_on: str) -> Json:
    """Try again, at a replica that was not tried yet."""
    previous = "envoy.retry_host_predicates.previous_hosts"
    not_tried = {
        "name": previous,
        "typed_config": extension("retry.host.previous_hosts.v3.PreviousHostsPredicate"),
    }
    return {
        "retry_on": retry_on,
        "num_retries": _RETRIES,
        "retry_host_predicate": [not_tried],
        "host_selection_retry_max_attempts": _DRAWS,
        # What goes on arriving meanwhile must be kept, and not more than a little is.
        "retry_back_off": {"base_interval": "0.001s", "max_interval": "0.010s"},
    }


def _limits_of(method: MethodContract, limits: Limits) -> Json:
    """Name the limits that a refusal of this method is about, and say as how many calls it counts."""
    return {
        RATE: limit_name(LIMIT_OF[method.policy.rate_class]),
        SIZE: limit_name(method.policy.request_bytes),
        JSON_SIZE: str(json_bytes(method, limits)),
        COST: cost_of(method, limits),
    }


def _with_a_query() -> Json:
    """Refuse calls with a query, whose parameters would take the place of the body's fields."""
    return {
        "match": {"prefix": "/chatkit.", "headers": [method_is("POST"), path_is(contains="?")]},
        "direct_response": {"status": 400},
        "metadata": {"filter_metadata": {METADATA: {QUERY: "none"}}},
        "typed_per_filter_config": for_anyone(),
    }


def _paths() -> list[str]:
    return sorted([*public.REFLECTION_PATHS, *(method.path for _, method in public.methods())])


def _nothing() -> Json:
    """Answer what is no method to everybody, with a token or without one."""
    return {"match": {"prefix": "/"}, "direct_response": {"status": 404}, "typed_per_filter_config": for_anyone()}


def _preflight() -> Json:
    """Give preflights a route of the kind that the CORS filter looks for; it answers all of them, none goes on."""
    asks = [{"name": name, "present_match": True} for name in ("origin", "access-control-request-method")]
    return {
        "match": {"prefix": "/", "headers": [method_is("OPTIONS"), *asks]},
        "route": {"cluster": public.CLUSTERS[0]},
    }


def _cors(origins: Sequence[str]) -> Json:
    return extension(
        "filters.http.cors.v3.CorsPolicy",
        allow_origin_string_match=[_origin(origin) for origin in origins],
        allow_methods="GET,HEAD,POST,PUT",
        allow_headers=_CORS_REQUEST_HEADERS,
        expose_headers=_CORS_RESPONSE_HEADERS,
        max_age=str(_CORS_SECONDS),
        forward_not_matching_preflights=False,
    )


def _origin(origin: str) -> Json:
    return {"safe_regex": {"regex": ".*"}} if origin == "*" else {"exact": origin}
