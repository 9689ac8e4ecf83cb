"""What Envoy does before memory, connections or file descriptors run out: it sheds what is heaviest and idle first.

A crowd, or a client that means harm, then meets refusals, and who was there before goes on.
"""

import resource

from services.edge.deployment import Deployment
from services.edge.parts import Json, typed

# Files that are open beside connections: logs, sockets of the admin interface, connections to services.
_RESERVED_FILES = 1_000
# More are of no use, and where there is no limit, as on macOS, the system still refuses to give as many as one likes.
_MOST_FILES = 65_536
# With fewer an edge is of no use to anybody.
_LEAST_CONNECTIONS = 1_000
_HEAP = "envoy.resource_monitors.fixed_heap"
# Streams whose buffers hold less than 2 to the power of this are never reset for their memory.
_TRACKED_POWER_OF_TWO = 17
_IDLE, _LEAST_IDLE = "HTTP_DOWNSTREAM_CONNECTION_IDLE", "2s"


def room_for_connections() -> int:
    """Let this process, and Envoy which inherits it, open as many files as it may; return how many clients have room.

    Raises ValueError when that are too few. A client may need two: content has a connection of its own to files.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    connections = (most - _RESERVED_FILES) // 2
    if connections < _LEAST_CONNECTIONS:
        needed = 2 * _LEAST_CONNECTIONS + _RESERVED_FILES
        raise ValueError(f"the edge may open {most} files, and needs {needed}: raise the limit (ulimit -n)")
    return connections


def overload_manager(deployment: Deployment) -> Json:
    """Return Envoy's overload manager: connections have a number, and memory has steps."""
    return {
        "refresh_interval": "0.25s",
        "resource_monitors": [
            typed(
                "envoy.resource_monitors.global_downstream_max_connections",
                "resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                max_active_downstream_connections=deployment.connections,
            ),
            typed(
                _HEAP,
                "resource_monitors.fixed_heap.v3.FixedHeapConfig",
                max_heap_size_bytes=deployment.heap_bytes,
            ),
        ],
        "buffer_factory_config": {"minimum_account_to_track_power_of_two": _TRACKED_POWER_OF_TWO},
        "actions": [
            # Not an emergency: what was freed goes back to the system, every ten seconds.
            _action("shrink_heap", threshold={"value": 0.01}),
            {**_action("reduce_timeouts", scaled=_between(0.6, 0.9)), "typed_config": _shorter_idling()},
            _action("reset_high_memory_stream", scaled=_between(0.75, 0.95)),
            _action("stop_accepting_connections", threshold={"value": 0.95}),
            _action("stop_accepting_requests", threshold={"value": 0.98}),
        ],
    }


def _action(name: str, **trigger: Json) -> Json:
    return {"name": f"envoy.overload_actions.{name}", "triggers": [{"name": _HEAP, **trigger}]}


def _between(first: float, all_of_it: float) -> Json:
    return {"scaling_threshold": first, "saturation_threshold": all_of_it}


def _shorter_idling() -> Json:
    factors = [{"timer": _IDLE, "min_timeout": _LEAST_IDLE}]
    return {
        "@type": "type.googleapis.com/envoy.config.overload.v3.ScaleTimersOverloadActionConfig",
        "timer_scale_factors": factors,
    }
