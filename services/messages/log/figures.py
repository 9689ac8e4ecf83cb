"""What is measured of the committer."""

from services.runtime.metrics.registry import Metrics

_BATCHES = (1, 2, 5, 10, 20, 50, 100, 200, 500)
# The labels of the two lanes.
FIRST, SECOND = ("first",), ("second",)


class CommitFigures:
    """What the committer tells of what it does; what it holds is read from it."""

    def __init__(self, metrics: Metrics) -> None:
        self.wait_seconds = metrics.histogram(
            "chatkit_committer_wait_seconds",
            "How long it took from the arrival of writes until they were stored",
        )
        self.batch_writes = metrics.histograms(
            "chatkit_committer_batch_writes", "How many writes were tried in one transaction", ["lane"], _BATCHES
        )
        self.transaction_seconds = metrics.histograms(
            "chatkit_committer_transaction_seconds", "How long such a transaction took, failed ones included", ["lane"]
        )
        self.disconnections = self.doubts = 0
        metrics.count(
            "chatkit_committer_disconnections",
            "Connections to the database that were lost or could not be made",
            lambda: self.disconnections,
        )
        metrics.count(
            "chatkit_committer_doubts",
            "Commits of which it is unknown whether they have happened",
            lambda: self.doubts,
        )
