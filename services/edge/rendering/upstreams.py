"""The services as the edge reaches them: which replicas get calls, how many, and who they must prove to be.

Only what happened between the edge and a replica takes it out of use, and its own word that it does not serve. What an
application answers never does, else a restart of the database would eject every replica.
"""

import socket
from collections.abc import Sequence

from services.edge.deployment import Deployment
from services.edge.public import REFLECTION_CLUSTER
from services.edge.rendering.parts import Json, address, extension, pipe_cluster
from services.edge.rendering.tls import upstream_socket

_KIB, _MIB = 1024, 1024 * 1024
# Small, so that a stream that nobody reads costs little: so much waits in its window, and as much again on its way out.
_STREAM_BYTES = 64 * _KIB
BUFFER_BYTES = 128 * _KIB
# A client's connection is its own. Those to services are everybody's: what streams that nobody reads hold of the
# window of the connection, the others lack, and with an empty one all of them stand still. This is the largest there
# is: more streams than a service has (STREAMS_PER_PROCESS) can't empty it.
CLIENT_WINDOWS = {"initial_stream_window_size": _STREAM_BYTES, "initial_connection_window_size": _MIB}
SERVICE_WINDOWS = {"initial_stream_window_size": _STREAM_BYTES, "initial_connection_window_size": 2**31 - 1}
# The system would keep megabytes for each connection that is not read: of what is to go out so much waits there, beside
# what is on its way, and of what comes in so much.
SMALL_SEND_BUFFER: Json = {
    "level": socket.IPPROTO_TCP,
    "name": socket.TCP_NOTSENT_LOWAT,
    "int_value": BUFFER_BYTES,
    "state": "STATE_LISTENING",
}
_SMALL_RECEIVE_BUFFER: Json = {
    "level": socket.SOL_SOCKET,
    "name": socket.SO_RCVBUF,
    "int_value": BUFFER_BYTES,
    "state": "STATE_PREBIND",
}
# Envoy's own default, 1,024 streams to a service, would be the suite's size. What bounds it are the services.
CIRCUIT = 1_000_000
# Of whoever takes spans: nothing waits for it, and what it does not take is lost.
COLLECTOR_CLUSTER = "collector"
_MOST_EXPORTS = 16
# Nobody needs a token for them, so there are few; each is over in seconds.
MOST_REFLECTIONS = 16
_ENFORCED, _NEVER = 100, 0
_CONTENT_IDLE_SECONDS = 30


def service_cluster(name: str, endpoints: Sequence[str], deployment: Deployment) -> Json:
    """Return the cluster of a service."""
    http2 = {**SERVICE_WINDOWS, "connection_keepalive": {"interval": "30s", "timeout": "10s"}}
    return {
        **_cluster(name, endpoints),
        "health_checks": [_health_check(grpc_health_check={})],
        **_protocol(explicit_http_config={"http2_protocol_options": http2}),
        **upstream_socket(endpoints, deployment),
    }


def content_cluster(name: str, endpoints: Sequence[str], deployment: Deployment) -> Json:
    """Return the cluster of a service's HTTP listener, which speaks HTTP/1.1."""
    return {
        **_cluster(name, endpoints),
        "health_checks": [_health_check(http_health_check={"path": "/health"})],
        # Shorter than the listener keeps an idle connection.
        **_protocol(
            explicit_http_config={"http_protocol_options": {}},
            common_http_protocol_options={"idle_timeout": f"{_CONTENT_IDLE_SECONDS}s"},
        ),
        "upstream_bind_config": {"socket_options": [_SMALL_RECEIVE_BUFFER]},
        **upstream_socket(endpoints, deployment, protocol="http/1.1"),
    }


def reflection_cluster(deployment: Deployment) -> Json:
    """Return the cluster of this process itself, which answers few streams at once."""
    return {
        **pipe_cluster(REFLECTION_CLUSTER, str(deployment.reflection_socket)),
        "circuit_breakers": {"thresholds": [{**_circuit(), "max_requests": MOST_REFLECTIONS}]},
        **_protocol(explicit_http_config={"http2_protocol_options": SERVICE_WINDOWS}),
    }


def collector_cluster(deployment: Deployment) -> Json:
    """Return the cluster of whoever takes spans, which may be away."""
    endpoint = {"endpoint": {"address": address(deployment.collector)}}
    bounds = {"max_connections": _MOST_EXPORTS, "max_pending_requests": _MOST_EXPORTS, "max_requests": _MOST_EXPORTS}
    return {
        "name": COLLECTOR_CLUSTER,
        "type": "STRICT_DNS",
        "connect_timeout": "1s",
        "wait_for_warm_on_init": False,
        "load_assignment": {"cluster_name": COLLECTOR_CLUSTER, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "circuit_breakers": {"thresholds": [bounds]},
        **_protocol(explicit_http_config={"http2_protocol_options": {}}),
    }


def _cluster(name: str, endpoints: Sequence[str]) -> Json:
    hosts = [{"endpoint": {"address": address(endpoint)}} for endpoint in endpoints]
    return {
        "name": name,
        "type": "STRICT_DNS",
        "connect_timeout": "1s",
        "per_connection_buffer_limit_bytes": BUFFER_BYTES,
        "lb_policy": "LEAST_REQUEST",
        # Where none serves, or none is known to serve yet, all are tried: their own answer says more than ours.
        # What a health check finds holds at once; Envoy would wait for a second to gather more of it.
        "common_lb_config": {"healthy_panic_threshold": {"value": 1}, "update_merge_window": "0s"},
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": hosts}]},
        "outlier_detection": _outlier_detection(),
        "circuit_breakers": {"thresholds": [_circuit()]},
    }


def _protocol(**options: Json) -> Json:
    kind = "upstreams.http.v3.HttpProtocolOptions"
    return {"typed_extension_protocol_options": {f"envoy.extensions.{kind}": extension(kind, **options)}}


def _health_check(**asked: Json) -> Json:
    return {
        "timeout": "3s",
        "interval": "1s",
        "no_traffic_interval": "1s",
        # How soon a replica that was away gets calls again.
        "unhealthy_interval": "0.25s",
        # A replica that says NOT_SERVING is out at once; one that is slow to answer, on a busy machine, is not.
        "unhealthy_threshold": 3,
        "healthy_threshold": 1,
        **asked,
    }


def _outlier_detection() -> Json:
    by_answers = ("consecutive_5xx", "consecutive_gateway_failure", "success_rate", "failure_percentage")
    by_shares = ("local_origin_success_rate", "failure_percentage_local_origin")
    return {
        "split_external_local_origin_errors": True,
        "consecutive_local_origin_failure": 5,
        "enforcing_consecutive_local_origin_failure": _ENFORCED,
        **{f"enforcing_{kind}": _NEVER for kind in (*by_answers, *by_shares)},
        "interval": "1s",
        "base_ejection_time": "1s",
        "max_ejection_time": "10s",
        # The last replica is never ejected: trying it is better than refusing.
        "max_ejection_percent": 50,
    }


def _circuit() -> Json:
    return dict.fromkeys(("max_connections", "max_pending_requests", "max_requests", "max_retries"), CIRCUIT)
