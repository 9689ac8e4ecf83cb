"""For how long streams go on without knowing of changes of access."""

from services.runtime.access.cache import Freshness
from services.runtime.clock import Clock


class Staleness:
    """Since when a stream goes without knowing of changes of access.

    Streams have delays of their own until they end by it, so that not all clients come back at once.
    """

    __slots__ = ("_clock", "_delay", "_freshness", "_noticed_at")

    def __init__(self, clock: Clock, freshness: Freshness, delay: float) -> None:
        self._clock = clock
        self._freshness = freshness
        self._delay = delay
        self._noticed_at: float | None = None

    @property
    def is_fresh(self) -> bool:
        """Whether all changes up to a moment ago are known."""
        return self._freshness.is_fresh()

    @property
    def may_send(self) -> bool:
        """Whether what waits may be sent, as far as the knowledge of changes goes."""
        return self._freshness.is_fresh() and not self._freshness.is_held

    @property
    def most_doubted_seconds(self) -> float:
        """How long a single answer may be missing."""
        return self._freshness.patience + self._delay

    def is_overdue(self) -> bool:
        """Take note of how it stands, and tell whether the stream must end by it."""
        if self._freshness.is_fresh():
            self._noticed_at = None
            return False
        # Counted from when it is noticed: a process that was stopped is given time to hear what has happened.
        now = self._clock.monotonic()
        self._noticed_at = now if self._noticed_at is None else self._noticed_at
        return now - self._noticed_at >= self._delay
