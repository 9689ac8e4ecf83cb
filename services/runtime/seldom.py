"""What may be said so many times a second, because others could have it said without end."""

from time import monotonic


class Seldom:
    """Lets so many a second, and counts the others."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._second = 0
        self._said = self._unsaid = 0

    def take(self) -> int | None:
        """Return how many were not let since the last one that was; None where this one is not."""
        second = int(monotonic())
        if second != self._second:
            self._second, self._said = second, 0
        if self._said >= self._most:
            self._unsaid += 1
            return None
        self._said += 1
        unsaid, self._unsaid = self._unsaid, 0
        return unsaid
