"""What files tells of the collector."""

from services.files.collection.collector import Collector
from services.runtime.metrics.registry import Metrics
from services.runtime.metrics.rounds import measure_rounds


def measure(metrics: Metrics, collector: Collector) -> None:
    """Declare the figures that are read whenever somebody asks."""
    measure_rounds(metrics, "collection", "removed the files that nobody needs", collector.rounds)
    metrics.count(
        "chatkit_collection_files_removed", "Files that no message referred to and that went", lambda: collector.removed
    )
    metrics.count(
        "chatkit_collection_bytes_removed", "Bytes of content that those files had", lambda: collector.bytes_removed
    )
    metrics.count(
        "chatkit_collection_uploads_cleared",
        "Uploads that were never finished and of which the content went",
        lambda: collector.uploads_cleared,
    )
