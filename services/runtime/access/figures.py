"""What is measured of the answers of rooms that are kept."""

from services.runtime.access.rooms import RoomsAccess
from services.runtime.metrics.registry import Metrics


def measure_access(metrics: Metrics, access: RoomsAccess) -> None:
    """Declare what is read of the access that a process keeps."""
    metrics.count("chatkit_access_hits", "Calls that a kept answer has let in", lambda: access.hits)
    metrics.count("chatkit_access_questions", "Calls for which rooms had to be asked", lambda: access.questions)
    metrics.gauge("chatkit_access_kept", "Answers that are kept", lambda: access.kept_answers)
    metrics.gauge(
        "chatkit_access_proof_age_seconds",
        "How old the last proof is that all changes of access have arrived; streams end where it is too old",
        lambda: access.freshness.age,
    )
