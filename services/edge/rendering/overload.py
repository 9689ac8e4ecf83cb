"""What Envoy does before memory, connections or file descriptors run out: it sheds what is heaviest and idle first.

A crowd, or a client that means harm, then meets refusals, and who was there before goes on.
"""

import resource

from services.edge.deployment import Deployment
from services.edge.rendering.parts import Json, typed

# Files that are open beside connections: logs, sockets of the admin interface, connections to services.
_RESERVED_FILES = 1_000
# More are of no use, and where there is no limit, as on macOS, the system still refuses to give as many as one likes.
_MOST_FILES = 65_536
# With fewer an edge is of no use to anybody.
_LEAST_CONNECTIONS = 1_000
_OVERLOAD = "type.googleapis.com/envoy.config.overload.v3"
_HEAP = "envoy.resource_monitors.fixed_heap"
_CROWDING = "envoy.resource_monitors.injected_resource"
# Streams whose buffers hold less than 2 to the power of this are never reset for their memory.
_TRACKED_POWER_OF_TWO = 17
# Beyond what Envoy needs to work, this much of what was freed is kept; 100 MB where nothing is said.
_UNUSED_BYTES = 16 << 20
# More than this share of what it may have is given back at once, if nobody uses it.
_SOFT_LIMIT_SHARE = 8
_IDLE = ("HTTP_DOWNSTREAM_CONNECTION_IDLE", "5s")
_UNREAD = ("HTTP_DOWNSTREAM_STREAM_FLUSH", "1s")


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
            typed(
                _CROWDING,
                "resource_monitors.injected_resource.v3.InjectedResourceConfig",
                filename=str(deployment.crowding_file),
            ),
        ],
        "buffer_factory_config": {"minimum_account_to_track_power_of_two": _TRACKED_POWER_OF_TWO},
        "actions": [
            # Not an emergency: what was freed goes back to the system.
            _action("shrink_heap", (_HEAP, _above(0.01)), configured=_giving_back()),
            # A connection that does nothing is closed the sooner, the less memory or room for others there is, and an
            # answer of which nothing is taken is given up.
            _action(
                "reduce_timeouts",
                (_HEAP, _between(0.5, 0.9)),
                (_CROWDING, _between(0.6, 0.9)),
                configured=_shorter_idling(),
            ),
            _action("reset_high_memory_stream", (_HEAP, _between(0.75, 0.95))),
            _action("stop_accepting_connections", (_HEAP, _above(0.95))),
            _action("stop_accepting_requests", (_HEAP, _above(0.98))),
        ],
    }


def memory_allocator(deployment: Deployment) -> Json:
    """Return what is told to the allocator: more than this, if nobody uses it, is given back at the next chance.

    By itself it keeps for five minutes what it expects to need again.
    """
    return {"soft_memory_limit_bytes": deployment.heap_bytes // _SOFT_LIMIT_SHARE}


def _action(name: str, *triggers: tuple[str, Json], configured: Json | None = None) -> Json:
    return {
        "name": f"envoy.overload_actions.{name}",
        "triggers": [{"name": monitor, **trigger} for monitor, trigger in triggers],
        **({"typed_config": configured} if configured else {}),
    }


def _between(first: float, all_of_it: float) -> Json:
    return {"scaled": {"scaling_threshold": first, "saturation_threshold": all_of_it}}


def _above(share: float) -> Json:
    return {"threshold": {"value": share}}


def _giving_back() -> Json:
    return {
        "@type": f"{_OVERLOAD}.ShrinkHeapConfig",
        "timer_interval": "2s",
        "max_unfreed_memory_bytes": _UNUSED_BYTES,
    }


def _shorter_idling() -> Json:
    factors = [{"timer": timer, "min_timeout": least} for timer, least in (_IDLE, _UNREAD)]
    return {"@type": f"{_OVERLOAD}.ScaleTimersOverloadActionConfig", "timer_scale_factors": factors}
