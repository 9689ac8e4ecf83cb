"""Envoy's whole configuration, from the contract and a deployment's addresses. Nothing secret stands in it.

Windows and buffers are small, so that a reader who has stopped costs megabytes and not tens of them, and is cut off.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from services.edge import public
from services.edge.refusals import kept_status_filter, local_reply_config
from services.edge.routes import STREAM_IDLE_SECONDS, route_configuration
from services.runtime.contract import Limits

Json = dict[str, Any]

_KIB, _MIB = 1024, 1024 * 1024
_STREAM_WINDOW_BYTES = 64 * _KIB
_CONNECTION_WINDOW_BYTES = _MIB
_CONNECTION_BUFFER_BYTES = _MIB
# A client's streams and calls share a connection; more of them wait in the client until one has ended.
_STREAMS_PER_CONNECTION = 1_000
# JSON is at worst six times as long as the bytes that it escapes.
_JSON_REQUEST_BYTES = 6 * _MIB
_JSON_RESPONSE_BYTES = 32 * _MIB
# Envoy's own default, 1,024 streams to a service, would be the suite's size. What bounds it are the services.
_CIRCUIT = 1_000_000
_EXTENSIONS = "type.googleapis.com/envoy.extensions"


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the edge listens, where its files are, and the endpoints of each service."""

    listen: str
    run_folder: Path
    upstreams: Mapping[str, Sequence[str]]

    @property
    def descriptor(self) -> Path:
        """The descriptor set of the public contract."""
        return self.run_folder / "descriptor.binpb"

    @property
    def admin_socket(self) -> Path:
        """Envoy's admin interface, for this process's owner only."""
        return self.run_folder / "admin.sock"


# What stands in the checked-in rendering, where no deployment's addresses are.
EXAMPLE = Addresses(
    listen="0.0.0.0:8080",
    run_folder=Path("/run/chatkit"),
    upstreams={"users": ["users:50051"], "rooms": ["rooms:50052"], "messages": ["messages:50053"]},
)
_HEAD = "# Rendered from protos/ by `python -m services.edge print`; edits are lost, and a test compares.\n"


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, _data: object) -> bool:
        """Write what stands twice twice: anchors are hard to read."""
        return True


def to_yaml(configuration: Json) -> str:
    """Return a configuration as it is checked in."""
    return _HEAD + yaml.dump(configuration, Dumper=_Plain, sort_keys=False, width=120, allow_unicode=True)


def configuration(addresses: Addresses, limits: Limits) -> Json:
    """Render Envoy's bootstrap."""
    return {
        "node": {"id": "edge", "cluster": "chatkit"},
        "admin": {"address": {"pipe": {"path": str(addresses.admin_socket), "mode": 0o600}}},
        "static_resources": {
            "listeners": [_listener(addresses, limits)],
            "clusters": [_cluster(name, addresses.upstreams[name]) for name in public.CLUSTERS],
        },
        "overload_manager": {
            "resource_monitors": [
                _typed(
                    "envoy.resource_monitors.global_downstream_max_connections",
                    "resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                    max_active_downstream_connections=_CIRCUIT,
                )
            ]
        },
    }


def _listener(addresses: Addresses, limits: Limits) -> Json:
    return {
        "name": "edge",
        "address": _address(addresses.listen),
        "per_connection_buffer_limit_bytes": _CONNECTION_BUFFER_BYTES,
        "filter_chains": [{"filters": [_connection_manager(addresses, limits)]}],
    }


def _connection_manager(addresses: Addresses, limits: Limits) -> Json:
    return _typed(
        "envoy.filters.network.http_connection_manager",
        "filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="edge",
        codec_type="AUTO",
        use_remote_address=True,
        generate_request_id=False,
        path_with_escaped_slashes_action="REJECT_REQUEST",
        common_http_protocol_options={"idle_timeout": f"{STREAM_IDLE_SECONDS}s"},
        http2_protocol_options={**_windows(), "max_concurrent_streams": _STREAMS_PER_CONNECTION},
        stream_idle_timeout=f"{STREAM_IDLE_SECONDS}s",
        request_headers_timeout="10s",
        request_timeout="30s",
        local_reply_config=local_reply_config(),
        route_config=route_configuration(limits, str(addresses.descriptor)),
        http_filters=[
            kept_status_filter(),
            _typed("envoy.filters.http.grpc_web", "filters.http.grpc_web.v3.GrpcWeb"),
            _transcoder(addresses),
            # After the transcoder, so that a route's limit counts the bytes of the message and not of its JSON.
            _typed("envoy.filters.http.buffer", "filters.http.buffer.v3.Buffer", max_request_bytes=_MIB),
            _typed("envoy.filters.http.router", "filters.http.router.v3.Router"),
        ],
    )


def _transcoder(addresses: Addresses) -> Json:
    return _typed(
        "envoy.filters.http.grpc_json_transcoder",
        "filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder",
        proto_descriptor=str(addresses.descriptor),
        services=[service.full_name for _, service in public.services()],
        auto_mapping=True,
        convert_grpc_status=True,
        print_options={
            "always_print_primitive_fields": True,
            "stream_newline_delimited": True,
            "stream_sse_style_delimited": True,
        },
        request_validation_options={"reject_unknown_query_parameters": True},
        max_request_body_size=_JSON_REQUEST_BYTES,
        max_response_body_size=_JSON_RESPONSE_BYTES,
    )


def _cluster(name: str, endpoints: Sequence[str]) -> Json:
    http2 = {"explicit_http_config": {"http2_protocol_options": {**_windows(), "connection_keepalive": _keepalive()}}}
    hosts = [{"endpoint": {"address": _address(endpoint)}} for endpoint in endpoints]
    most = dict.fromkeys(("max_connections", "max_pending_requests", "max_requests"), _CIRCUIT)
    return {
        "name": name,
        "type": "STRICT_DNS",
        "connect_timeout": "1s",
        "per_connection_buffer_limit_bytes": _CONNECTION_BUFFER_BYTES,
        "lb_policy": "LEAST_REQUEST",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": hosts}]},
        "circuit_breakers": {"thresholds": [most]},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{_EXTENSIONS}.upstreams.http.v3.HttpProtocolOptions",
                **http2,
            }
        },
    }


def _windows() -> Json:
    return {
        "initial_stream_window_size": _STREAM_WINDOW_BYTES,
        "initial_connection_window_size": _CONNECTION_WINDOW_BYTES,
    }


def _keepalive() -> Json:
    return {"interval": "30s", "timeout": "10s"}


def _address(text: str) -> Json:
    host, _, port = text.rpartition(":")
    return {"socket_address": {"address": host.strip("[]"), "port_value": int(port)}}


def _typed(name: str, kind: str, **fields: Any) -> Json:
    return {"name": name, "typed_config": {"@type": f"{_EXTENSIONS}.{kind}", **fields}}
