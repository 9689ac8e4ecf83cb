"""How old events are when they are taken to be written to a stream.

An event that is replayed is old by right, so only live ones carry this. One is made per event, whoever it is for, and
one is told per frame: the oldest of the frame.
"""

import math
from datetime import datetime

from services.runtime.metrics.distribution import Distribution

# An event that old was not late: it was imported with the time that it had elsewhere.
_MOST_SECONDS = 3600.0


class LiveEvent:
    """When an event was made, and who is told how old it was when it was taken; after `late_seconds` it is late."""

    __slots__ = ("_ages", "_late_seconds", "_time")

    # Whether it is told of each stream that takes it, and of the writing.
    is_watched = False

    def __init__(self, time: datetime, ages: Distribution, late_seconds: float = math.inf) -> None:
        self._time = time
        self._ages = ages
        self._late_seconds = late_seconds

    def taken(self, now: datetime) -> None:
        """Tell how old it is; the two times may be of two clocks, and what seems to be of the future is new."""
        seconds = (now - self._time).total_seconds()
        if seconds <= _MOST_SECONDS:
            self._ages.observe(max(0.0, seconds))
            if seconds >= self._late_seconds:
                self.was_late(seconds)

    def was_late(self, seconds: float) -> None:
        """Hear that it was taken late; by itself it says nothing of that."""

    def written(self) -> None:
        """Hear that a stream that has taken it has written it, as far as the connection took it."""
