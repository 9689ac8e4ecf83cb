"""The edge's own part of traces: one span per call that is sampled, in OTLP to whoever takes spans.

Each call has a trace, also one that is not sampled: its `traceparent` goes to the service. What a caller's own
`traceparent` says of sampling holds; where there is none, a share is taken by chance.
"""

from services.edge.deployment import Deployment
from services.edge.rendering.parts import Json, typed
from services.edge.rendering.upstreams import COLLECTOR_CLUSTER

_TRACER = "envoy.tracers.opentelemetry"
_SERVICE = "chatkit-edge"
# The path of a call has no more; Envoy puts the whole URL into a span, and what a client writes there may be a secret.
_PATH_CHARS, _URL_CHARS = 96, 0
# So many spans are sent together, or those of so long; Envoy would send five.
FLUSH = {"tracing.opentelemetry.min_flush_spans": 100, "tracing.opentelemetry.flush_interval_ms": 1000}


def tracing(deployment: Deployment) -> Json:
    """Return what a connection manager does about traces; nothing where nobody takes spans."""
    if not deployment.collector:
        return {}
    config = {
        "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig",
        "grpc_service": {"envoy_grpc": {"cluster_name": COLLECTOR_CLUSTER}, "timeout": "5s"},
        "service_name": _SERVICE,
        "sampler": _sampler(deployment.trace_percent),
    }
    return {
        "tracing": {
            "provider": {"name": _TRACER, "typed_config": config},
            # All may have spans; the sampler decides, by the caller's flag where there is one. Envoy's own share would
            # come before the flag.
            "random_sampling": {"value": 100},
            # Envoy's own header for that; `traceparent` is the way to ask.
            "client_sampling": {"value": 0},
            "operation": f"%PATH(NQ):{_PATH_CHARS}%",
            "max_path_tag_length": _URL_CHARS,
        }
    }


def unsampled(deployment: Deployment) -> Json:
    """Return what a route says of which no samples are taken by chance: its calls are many, and tell nothing."""
    if not deployment.collector:
        return {}
    return {"tracing": {"random_sampling": {"numerator": 0}, "client_sampling": {"numerator": 0}}}


def _sampler(percent: float) -> Json:
    kind, millionths = (
        "tracers.opentelemetry.samplers.v3",
        {"numerator": round(percent * 10_000), "denominator": "MILLION"},
    )
    name = f"{_TRACER}.samplers"
    share = typed(
        f"{name}.trace_id_ratio_based", f"{kind}.TraceIdRatioBasedSamplerConfig", sampling_percentage=millionths
    )
    return typed(f"{name}.parent_based", f"{kind}.ParentBasedSamplerConfig", wrapped_sampler=share)
