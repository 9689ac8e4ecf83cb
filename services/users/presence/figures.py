"""What users tells of the lease of this replica and the sessions under it, of other leases, and of changes."""

from services.runtime.metrics.registry import Metrics
from services.users.presence.hub import PresenceHub
from services.users.presence.sessions import Sessions


def measure(metrics: Metrics, sessions: Sessions, hub: PresenceHub) -> None:
    """Declare the figures that are read whenever somebody asks."""
    metrics.gauge("chatkit_presence_users", "Users who are online by streams of this process", lambda: sessions.count)
    metrics.gauge(
        "chatkit_presence_unwritten", "Users whose coming or going was not stored yet", lambda: sessions.unwritten
    )
    metrics.count("chatkit_presence_renewals", "Renewals of this process's lease", lambda: sessions.renewals)
    metrics.gauge(
        "chatkit_presence_lease_age_seconds",
        "How long ago this process's lease was renewed; before the first time, since when the process runs",
        lambda: sessions.lease_age,
    )
    metrics.count(
        "chatkit_presence_lapses",
        "Times at which this process's lease had expired before it was renewed",
        lambda: sessions.lapses,
    )
    metrics.count(
        "chatkit_presence_reaped",
        "Leases that had expired of processes that are gone, and the sessions under them, that this one took away",
        lambda: sessions.reaped,
    )
    metrics.kept_histogram(
        "chatkit_presence_change_age_seconds",
        "How old the oldest change of a frame was, by its time, when a stream or a feed took the frame to be written",
        hub.ages,
    )
