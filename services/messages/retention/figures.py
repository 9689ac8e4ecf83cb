"""What messages tells of retention."""

from services.messages.retention.sweeper import Sweeper
from services.runtime.metrics.registry import Metrics
from services.runtime.metrics.rounds import measure_rounds


def measure(metrics: Metrics, sweeper: Sweeper) -> None:
    """Declare the figures that are read whenever somebody asks."""
    measure_rounds(metrics, "retention", "looked for events that are too old in all rooms", sweeper.rounds)
    metrics.count(
        "chatkit_retention_events_removed", "Events that retention has removed", lambda: sweeper.events_removed
    )
    metrics.count(
        "chatkit_retention_rooms_swept", "Times at which a room lost old events in a round", lambda: sweeper.rooms_swept
    )
    metrics.count(
        "chatkit_retention_rooms_left",
        "Times at which old events of a room were left to a later round, because somebody else had the room",
        lambda: sweeper.rooms_left,
    )
