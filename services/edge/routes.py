"""The routes: one per method that clients may call, with the deadline and the size that its policy declares.

What has no route does not exist for clients, so methods between services can't be reached through the edge.
"""

import json
from importlib.metadata import version
from typing import Any

from services.edge import public
from services.runtime.contract import Limits, MethodContract

Json = dict[str, Any]

# A gRPC body is a message with five bytes before it.
_FRAME_BYTES = 5
# The service's own answer to a deadline says more than ours, so it gets this much time to arrive.
_SLACK_SECONDS = 0.5
STREAM_IDLE_SECONDS = 60
_FLUSH_SECONDS = 30
_DIRECT_RESPONSE_BYTES = 1024 * 1024


def route_configuration(limits: Limits, descriptor_path: str) -> Json:
    """Return Envoy's route configuration."""
    return {
        "name": "chatkit",
        "max_direct_response_body_size_bytes": _DIRECT_RESPONSE_BYTES,
        "virtual_hosts": [
            {
                "name": "chatkit",
                "domains": ["*"],
                "routes": [
                    *(_method(cluster, method, limits) for cluster, method in public.methods()),
                    _direct("/", "application/json", {"inline_string": _about(limits)}),
                    _direct("/descriptor.binpb", "application/octet-stream", {"filename": descriptor_path}),
                ],
            }
        ],
    }


def _method(cluster: str, method: MethodContract, limits: Limits) -> Json:
    deadline = 0 if method.streams else method.policy.deadline_ms / 1000 + _SLACK_SECONDS
    most = limits[method.policy.request_bytes] + _FRAME_BYTES
    return {
        "match": {"path": method.path, "headers": [_method_is("POST")]},
        "route": {
            "cluster": cluster,
            "timeout": f"{deadline:g}s",
            "idle_timeout": f"{STREAM_IDLE_SECONDS}s",
            "flush_timeout": f"{_FLUSH_SECONDS}s",
        },
        "typed_per_filter_config": {
            "envoy.filters.http.buffer": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.buffer.v3.BufferPerRoute",
                "buffer": {"max_request_bytes": most},
            }
        },
    }


def _direct(path: str, content_type: str, body: Json) -> Json:
    header = {"header": {"key": "content-type", "value": content_type}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
    return {
        "match": {"path": path, "headers": [_method_is("GET")]},
        "direct_response": {"status": 200, "body": body},
        "response_headers_to_add": [header],
    }


def _method_is(method: str) -> Json:
    return {"name": ":method", "string_match": {"exact": method}}


def _about(limits: Limits) -> str:
    names = ("name", "value", "unit", "description", "planned")
    about = {
        "name": "chatkit",
        "version": version("chatkit"),
        "limits": [{name: getattr(row, name) for name in names} for row in limits.rows],
    }
    return json.dumps(about, indent=2) + "\n"
