"""What the edge tells about itself: a line of JSON per call, and figures for Prometheus. Never a token or a body."""

from services.edge import public
from services.edge.deployment import Deployment
from services.edge.rendering.parts import Json, address, pipe_cluster, typed
from services.runtime.release import Release

ADMIN_CLUSTER = "admin"
_PROMETHEUS = "/stats/prometheus"
# As services have it, and as Envoy has it.
_PATHS = ("/metrics", _PROMETHEUS)
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
    # The same in the lines of services; none where the edge tells of no traces.
    "trace_id": "%TRACE_ID%",
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
    """Return the listener of the metrics: one page of Envoy's admin interface, and nothing else of it."""
    host = {
        "name": "metrics",
        "domains": ["*"],
        "routes": [
            {"match": _asked(path), "route": {"cluster": ADMIN_CLUSTER, "prefix_rewrite": _PROMETHEUS}}
            for path in _PATHS
        ],
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


def _asked(path: str) -> Json:
    # Compared with its query, which must be none: questions could make the answer costly.
    exact = {":method": "GET", ":path": path}
    headers = [{"name": name, "string_match": {"exact": value}} for name, value in exact.items()]
    return {"path": path, "headers": headers}


def calls_filter() -> Json:
    """Return the filter that counts the calls of each method by the code of gRPC, which HTTP shows as 200.

    It stands where JSON is gRPC already. What the edge refuses by itself does not come so far.
    """
    methods = [
        {"name": service.full_name, "method_names": [method.name for method in service.methods]}
        for _, service in public.services()
    ]
    return typed(
        "envoy.filters.http.grpc_stats",
        "filters.http.grpc_stats.v3.FilterConfig",
        individual_method_stats_allowlist={"services": methods},
        # How long services took, as the edge sees it.
        enable_upstream_stats=True,
    )


def figures_tags() -> Json:
    """Return how Envoy tells service and method from the names of figures, by the labels that services have, too.

    Its own two labels for that, which stay, take the first two words of the package.
    """
    named = r"^cluster\.[^.]+\.grpc\."
    return {
        "stats_tags": [
            {"tag_name": "grpc_service", "regex": rf"{named}((chatkit\..+?)\.)[^.]+\.[^.]+$"},
            {"tag_name": "grpc_method", "regex": rf"{named}chatkit\..+?\.(([A-Z][A-Za-z]+)\.)[^.]+$"},
        ]
    }


def admin_cluster(deployment: Deployment) -> Json:
    """Return the cluster of Envoy's own admin interface."""
    return pipe_cluster(ADMIN_CLUSTER, str(deployment.admin_socket))
