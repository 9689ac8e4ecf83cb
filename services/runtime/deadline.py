"""Until when an answer is waited for: one moment that all the steps of a call share.

It is a moment of the machine's clock and of no injected one, because gRPC's time-outs, which it becomes, are real time.
"""

import math
from dataclasses import dataclass
from time import monotonic
from typing import Self

# Whoever waits for a tenth of a second only is served, too.
_FIFTH = 5


@dataclass(frozen=True, slots=True, order=True)
class Deadline:
    """A moment of the monotonic clock; the lesser of two is the earlier."""

    _moment: float

    @classmethod
    def after(cls, seconds: float) -> Self:
        """Return the deadline that is so many seconds from now."""
        return cls(monotonic() + seconds)

    def left(self) -> float:
        """Return the seconds that are left: 0 when it is over."""
        return max(0.0, self._moment - monotonic())

    def less(self, seconds: float) -> "Deadline":
        """Return the deadline that leaves so many seconds for what follows; a fifth of what is left at the most."""
        return Deadline(self._moment - min(seconds, self.left() / _FIFTH))


# Whose caller waits as long as it takes, as that of a stream does.
NEVER = Deadline(math.inf)
