"""What is measured of the deletions that a service runs."""

from services.runtime.erasure.deletions import Deletions
from services.runtime.metrics.registry import Metrics
from services.runtime.metrics.rounds import measure_rounds


def measure_deletions(metrics: Metrics, deletions: Deletions) -> None:
    """Declare the figures that are read whenever somebody asks."""
    measure_rounds(metrics, "deletions", "went on with deletions that nobody was at", deletions.rounds)
    metrics.gauge(
        "chatkit_deletions_running",
        "Deletions that were not done when they were last counted, of all processes",
        lambda: deletions.backlog.count,
    )
    metrics.gauge(
        "chatkit_deletions_oldest_seconds",
        "How long the oldest of them had run by then; 0 where there was none",
        lambda: deletions.backlog.oldest_seconds,
    )
    metrics.count(
        "chatkit_deletions_put_off",
        "Times at which a deletion was put off, because a service was not reached or refused",
        lambda: deletions.put_off,
    )
