"""What the edge tells about itself: a line of JSON per call, and figures for Prometheus. Never a token or a body."""

from services.edge.deployment import Deployment
from services.edge.rendering.parts import Json, address, pipe_cluster, typed
from services.runtime.release import Release

ADMIN_CLUSTER = "admin"
_PROMETHEUS = "/stats/prometheus"
_FIELDS = {
    "event": "call",
    "time": "%START_TIME%",
    "method": "%PATH(NQ)%",
    "status": "%RESPONSE_CODE%",
    "grpc_status": "%GRPC_STATUS(SNAKE_STRING)%",
    "flags": "%RESPONSE_FLAGS%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%",
    "duration_ms": "%DURATION%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "upstream": "%UPSTREAM_HOST%",
}


def access_log(deployment: Deployment) -> Json:
    """Return the access log, on standard output."""
    return typed(
        "envoy.access_loggers.stdout",
        "access_loggers.stream.v3.StdoutAccessLog",
        log_format={"json_format": {**_FIELDS, "version": Release(deployment.commit).label}},
    )


def metrics_listener(deployment: Deployment) -> Json:
    """Return the listener of the metrics: one path of Envoy's admin interface, and nothing else of it."""
    # Compared with its query, which must be none: questions could make the answer costly.
    asked = {":method": "GET", ":path": _PROMETHEUS}
    headers = [{"name": name, "string_match": {"exact": value}} for name, value in asked.items()]
    match = {"path": _PROMETHEUS, "headers": headers}
    host = {
        "name": "metrics",
        "domains": ["*"],
        "routes": [{"match": match, "route": {"cluster": ADMIN_CLUSTER}}],
    }
    manager = typed(
        "envoy.filters.network.http_connection_manager",
        "filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="metrics",
        route_config={"name": "metrics", "virtual_hosts": [host]},
        http_filters=[typed("envoy.filters.http.router", "filters.http.router.v3.Router")],
    )
    return {
        "name": "metrics",
        "address": address(deployment.metrics_listen),
        "filter_chains": [{"filters": [manager]}],
    }


def admin_cluster(deployment: Deployment) -> Json:
    """Return the cluster of Envoy's own admin interface."""
    return pipe_cluster(ADMIN_CLUSTER, str(deployment.admin_socket))
