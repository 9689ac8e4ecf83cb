"""How old events are when they are taken to be written to a stream.

An event that is replayed is old by right, so only live ones carry this. One is made per event, whoever it is for, and
one is told per frame: the oldest of the frame.
"""

from datetime import datetime

from services.runtime.metrics.distribution import Distribution

# An event that old was not late: it was imported with the time that it had elsewhere.
_MOST_SECONDS = 3600.0


class LiveEvent:
    """When an event was made, and who is told how old it was when it was taken."""

    __slots__ = ("_ages", "_time")

    def __init__(self, time: datetime, ages: Distribution) -> None:
        self._time = time
        self._ages = ages

    def taken(self, now: datetime) -> None:
        """Tell how old it is; the two times may be of two clocks, and what seems to be of the future is new."""
        seconds = (now - self._time).total_seconds()
        if seconds <= _MOST_SECONDS:
            self._ages.observe(max(0.0, seconds))
