"""Envoy's whole configuration, from the contract and a deployment. Nothing secret stands in it."""

import math

import yaml
from chatkit.contract.v1 import limit_pb2

from services.edge import public
from services.edge.deployment import Deployment
from services.edge.rendering.compression import compressor_filter
from services.edge.rendering.json_fields import json_filter
from services.edge.rendering.observability import (
    access_log,
    admin_cluster,
    calls_filter,
    figures_tags,
    metrics_listener,
)
from services.edge.rendering.overload import memory_allocator, overload_manager
from services.edge.rendering.parts import Json, address, pipe_cluster, typed
from services.edge.rendering.rates import rate_filter
from services.edge.rendering.refusals import kept_status_filter, local_reply_config
from services.edge.rendering.route_parts import TRANSCODER_FILTER
from services.edge.rendering.routes import (
    CORS_FILTER,
    GRPC_WEB_FILTER,
    OWN_FLUSH_SECONDS,
    STREAM_IDLE_SECONDS,
    longest_request,
    route_configuration,
)
from services.edge.rendering.screening import MOST_HEADERS, screen_filter
from services.edge.rendering.sizes import json_size_filters, largest_json, size_filters
from services.edge.rendering.tls import downstream_socket
from services.edge.rendering.tokens import KEYS_CLUSTER, claims_filter, jwt_filter
from services.edge.rendering.tracing import FLUSH, tracing
from services.edge.rendering.upstreams import (
    BUFFER_BYTES,
    CLIENT_WINDOWS,
    SMALL_SEND_BUFFER,
    collector_cluster,
    content_cluster,
    reflection_cluster,
    service_cluster,
)
from services.runtime.contract.policies import Limits

_KIB, _MIB = 1024, 1024 * 1024
_JSON_RESPONSE_BYTES = 32 * _MIB
# When it is to end, Envoy would also close connections that it has told nothing, and over HTTP/1 it reads nothing for a
# second before it does: what a client sends meanwhile is lost. So they stay, and are told with their next answer.
_TELLS_FIRST = {"envoy.reloadable_features.use_connection_event_drain": False}
_RUNTIME = {
    # Of a connection that brings many requests at once the others wait for its turn, which comes after everybody's.
    "http.max_requests_per_io_cycle": 4,
    # A connection is closed that has given up a hundred streams within a second of each, half of so many.
    "overload.premature_reset_total_stream_count": 200,
    # The paths of all methods are one expression; a hundred, as it is without this, are some three of them.
    "re2.max_program_size.error_level": 20_000,
    **FLUSH,
}
_HEAD = "# Rendered from protos/ by `python -m services.edge print`; edits are lost, and a test compares.\n"


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, _data: object) -> bool:
        """Write what stands twice twice: anchors are hard to read."""
        return True


def to_yaml(configuration: Json) -> str:
    """Return a configuration as it is checked in."""
    return _HEAD + yaml.dump(configuration, Dumper=_Plain, sort_keys=False, width=120, allow_unicode=True)


def configuration(deployment: Deployment, limits: Limits) -> Json:
    """Render Envoy's bootstrap."""
    listeners = [_listener(deployment, limits)]
    clusters = [service_cluster(name, deployment.upstreams[name], deployment) for name in public.CLUSTERS]
    content = public.CONTENT_CLUSTER
    clusters.append(content_cluster(content, deployment.upstreams[content], deployment))
    clusters.append(pipe_cluster(KEYS_CLUSTER, str(deployment.keys_socket)))
    clusters.append(reflection_cluster(deployment))
    if deployment.collector:
        clusters.append(collector_cluster(deployment))
    if deployment.metrics_listen:
        listeners.append(metrics_listener(deployment))
        clusters.append(admin_cluster(deployment))
    return {
        "node": {"id": "edge", "cluster": "chatkit"},
        "memory_allocator_manager": memory_allocator(deployment),
        "admin": {"address": {"pipe": {"path": str(deployment.admin_socket), "mode": 0o600}}},
        "stats_config": figures_tags(),
        "static_resources": {"listeners": listeners, "clusters": clusters},
        "overload_manager": overload_manager(deployment),
        "layered_runtime": {
            "layers": [
                {"name": "edge", "static_layer": _RUNTIME},
                {"name": "draining", "static_layer": _TELLS_FIRST},
                {"name": "told", "admin_layer": {}},
            ]
        },
    }


def _listener(deployment: Deployment, limits: Limits) -> Json:
    return {
        "name": "edge",
        # What is drained by that, so that the figures can still be read then.
        "traffic_direction": "INBOUND",
        "address": address(deployment.listen),
        "per_connection_buffer_limit_bytes": BUFFER_BYTES,
        "socket_options": [SMALL_SEND_BUFFER],
        "filter_chains": [{"filters": [_connection_manager(deployment, limits)], **downstream_socket(deployment)}],
    }


def _connection_manager(deployment: Deployment, limits: Limits) -> Json:
    return typed(
        "envoy.filters.network.http_connection_manager",
        "filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="edge",
        codec_type="AUTO",
        use_remote_address=True,
        generate_request_id=True,
        always_set_request_id_in_response=True,
        path_with_escaped_slashes_action="REJECT_REQUEST",
        max_request_headers_kb=math.ceil(limits[limit_pb2.LIMIT_HEADERS_BYTES] / _KIB),
        common_http_protocol_options={"idle_timeout": f"{STREAM_IDLE_SECONDS}s", "max_headers_count": MOST_HEADERS},
        http2_protocol_options={
            **CLIENT_WINDOWS,
            # More calls and streams of one connection wait in the client until one of them has ended.
            "max_concurrent_streams": limits[limit_pb2.LIMIT_STREAMS_PER_CONNECTION],
            # Whoever has lost the network says no word, and would be online for as long as TCP hopes.
            "connection_keepalive": {"interval": "20s", "timeout": "20s"},
        },
        stream_idle_timeout=f"{STREAM_IDLE_SECONDS}s",
        stream_flush_timeout=f"{OWN_FLUSH_SECONDS}s",
        request_headers_timeout="10s",
        # Of what has a deadline of its own that comes first.
        request_timeout=f"{longest_request():g}s",
        **tracing(deployment),
        access_log=[access_log(deployment)],
        local_reply_config=local_reply_config(limits),
        route_config=route_configuration(deployment, limits),
        http_filters=_filters(deployment, limits),
    )


def _filters(deployment: Deployment, limits: Limits) -> list[Json]:
    """List the filters in the order in which a call passes them; the cheapest refusals come first."""
    cors = [typed(CORS_FILTER, "filters.http.cors.v3.Cors")] if deployment.cors_origins else []
    return [
        kept_status_filter(),
        typed(GRPC_WEB_FILTER, "filters.http.grpc_web.v3.GrpcWeb"),
        *cors,
        # Before the transcoder, which makes the JSON: answers pass the filters the other way.
        compressor_filter(),
        jwt_filter(),
        claims_filter(deployment.instance, limits),
        rate_filter(limits),
        *json_size_filters(limits),
        json_filter(limits),
        _transcoder(deployment, limits),
        calls_filter(),
        # After the transcoder, so that a route's limit counts the bytes of the message and not of its JSON.
        *size_filters(limits),
        screen_filter(),
        typed("envoy.filters.http.router", "filters.http.router.v3.Router"),
    ]


def _transcoder(deployment: Deployment, limits: Limits) -> Json:
    return typed(
        TRANSCODER_FILTER,
        "filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder",
        proto_descriptor=str(deployment.descriptor),
        services=[service.full_name for _, service in public.services()],
        auto_mapping=True,
        convert_grpc_status=True,
        print_options={
            "always_print_primitive_fields": True,
            "stream_newline_delimited": True,
            "stream_sse_style_delimited": True,
        },
        max_request_body_size=largest_json(limits),
        max_response_body_size=_JSON_RESPONSE_BYTES,
    )
