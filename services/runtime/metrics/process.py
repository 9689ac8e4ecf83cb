"""What is measured of every process, whatever it serves."""

import asyncio

from services.runtime.clock import Clock
from services.runtime.fair_queue import FairQueue
from services.runtime.metrics.registry import Metrics
from services.runtime.release import Release

# How often it is looked at how late the loop is.
_LOOK_SECONDS = 0.5


def measure_process(metrics: Metrics, connections: FairQueue, release: Release) -> None:
    """Tell of the process, its release, and of the turns at its connections to the database."""
    metrics.of_process()
    built: dict[tuple[str, ...], float] = {(release.version, release.commit): 1.0}
    metrics.gauge("chatkit_build_info", "The release of the process", lambda: built, ("version", "commit"))
    metrics.gauge("chatkit_database_connections_in_use", "Connections that calls hold", lambda: connections.in_hand)
    metrics.count("chatkit_database_waits", "Calls that had to wait for a connection", lambda: connections.waits)
    metrics.count(
        "chatkit_database_wait_seconds",
        "How long calls have waited for connections that came, all together",
        lambda: connections.waited_seconds,
    )


async def watch_loop(metrics: Metrics, clock: Clock) -> None:
    """Measure how late the loop comes to what is due, until cancelled."""
    late = metrics.histogram("chatkit_event_loop_lag_seconds", "How late the loop came to what was due")
    now = asyncio.get_running_loop().time
    while True:
        due = now() + _LOOK_SECONDS
        await clock.sleep(_LOOK_SECONDS)
        late.observe(max(0.0, now() - due))
