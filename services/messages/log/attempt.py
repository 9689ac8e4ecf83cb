"""One transaction of the committer, as the calls are told of it that wait for their writes."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from services.messages.log.append import Progress
from services.messages.log.lanes import Waiting
from services.runtime.tracing.trace import POSTGRESQL, Stage


@dataclass(frozen=True, slots=True)
class Attempt:
    """A transaction: the label of its lane, and when it began by the monotonic clock."""

    lane: tuple[str, ...]
    began: float
    progress: Progress = field(default_factory=Progress)

    def stages(self, writes: int, ended: float) -> Sequence[Stage]:
        """Return what it consisted of: they are the same for all its writes, and made once."""
        locked = self.progress.locked_at or ended
        what = {
            **POSTGRESQL,
            "db.operation.name": "append",
            "db.operation.batch.size": writes,
            "chatkit.committer.lane": self.lane[0],
        }
        return (
            Stage("lock and read", self.began, locked, what),
            Stage("write and commit", locked, ended, what),
        )

    def tell(self, one: Waiting, stages: Sequence[Stage]) -> None:
        """Tell the call that waits for a write what its time went into; of several writes it is told once."""
        if one.trace is not None and stages[-1] not in one.trace.stages[-1:]:
            one.waited(self.began)
            for stage in stages:
                one.trace.put(stage)
