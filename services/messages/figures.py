"""What messages tells of what it holds: writes that wait, and the rooms that are followed."""

from services.messages.fanout.hubs import Hubs
from services.messages.log.committer import Committer
from services.runtime.clock import Clock
from services.runtime.metrics.registry import Metrics


def measure(metrics: Metrics, committer: Committer, hubs: Hubs, clock: Clock) -> None:
    """Declare the figures that are read whenever somebody asks."""
    metrics.gauge("chatkit_committer_waiting", "Writes that were not stored yet", lambda: committer.waiting)
    metrics.gauge(
        "chatkit_committer_busy_rooms",
        "Rooms whose writes wait because somebody has locked them",
        lambda: committer.busy_rooms,
    )
    metrics.gauge("chatkit_rooms_followed", "Rooms that somebody follows here", lambda: hubs.room_count)
    metrics.gauge(
        "chatkit_heads_age_seconds",
        "How long ago the ends of the logs were last compared with the database",
        lambda: clock.monotonic() - hubs.heads.looked_at,
    )
    metrics.count("chatkit_entries_taken", "Entries of logs that were handed to followers", lambda: hubs.tally.taken)
    metrics.count("chatkit_deliveries", "Events of logs that were queued for streams", lambda: hubs.tally.delivered)
    metrics.kept_histogram(
        "chatkit_delivery_age_seconds",
        "How old the oldest live event of a frame was, by its time, when the frame was taken to be written",
        hubs.tally.deliveries.ages,
    )
    metrics.count("chatkit_gaps_healed", "Times at which missing entries were read", lambda: hubs.tally.healed)
    metrics.count("chatkit_logs_reset", "Rooms whose log was another than before", lambda: hubs.heads.resets)
