"""What is measured of the bus between the replicas of a service."""

from services.runtime.bus.nats import NatsBus
from services.runtime.metrics.registry import Metrics


def measure_bus(metrics: Metrics, bus: NatsBus) -> None:
    """Declare what is read of a process's part of the bus."""
    metrics.gauge("chatkit_bus_connected", "1 while the process is connected to NATS", lambda: bus.is_connected)
    metrics.gauge("chatkit_bus_waiting", "Announcements that wait to be published", lambda: bus.outbox.length)
    metrics.count("chatkit_bus_connections", "Connections to NATS that were made", lambda: bus.connections)
    metrics.count("chatkit_bus_sent", "Frames of announcements that were published", lambda: bus.sent)
    metrics.count("chatkit_bus_received", "Frames of announcements that were heard", lambda: bus.received)
    metrics.count(
        "chatkit_bus_dropped", "Announcements for which there was no room in the queue", lambda: bus.outbox.all_dropped
    )
    metrics.count(
        "chatkit_bus_misses",
        "Times at which something may have been missed, so that the database was looked at",
        lambda: bus.misses,
    )
