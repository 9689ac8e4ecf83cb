"""Who sends most at this process, by a sketch of bounded size: Space-Saving (Metwally, Agrawal and El Abbadi, 2005).

Of n messages and k counters, every sender of more than n / k of them has a counter. A counter tells at least as many
messages as its sender sent, and at most `too_many` more. Counting takes the same time whoever sends.
"""

from collections.abc import Callable
from dataclasses import dataclass

from services.runtime.clock import Clock
from services.runtime.ids import UserId

_COUNTERS = 100
_WINDOW_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Sender:
    """A sender, with how many messages they sent at most, and how many of these may be others'."""

    user_id: UserId
    messages: int
    too_many: int


class SpaceSaving:
    """The counters of one window."""

    def __init__(self, counters: int) -> None:
        self.messages = 0
        self._counters = counters
        # By sender: what is counted, and how much of that may be of those who had the counter before.
        self._counts: dict[UserId, int] = {}
        self._too_many: dict[UserId, int] = {}
        # The senders by what is counted of them, and the lowest of these numbers.
        self._by_count: dict[int, dict[UserId, None]] = {}
        self._lowest = 0

    def count(self, user_id: UserId) -> None:
        """Count a message."""
        self.messages += 1
        count = self._counts.get(user_id)
        if count is None:
            count = self._place()
            self._too_many[user_id] = count
        else:
            self._leave(user_id, count)
        self._counts[user_id] = count + 1
        self._by_count.setdefault(count + 1, {})[user_id] = None
        # Whoever leaves the lowest number goes to the next one, so that is there now.
        if count == 0 or self._lowest not in self._by_count:
            self._lowest = count + 1

    def heaviest(self) -> list[Sender]:
        """Return the senders that have a counter, who sends most first."""
        found = [Sender(user_id, count, self._too_many[user_id]) for user_id, count in self._counts.items()]
        return sorted(found, key=lambda one: (-one.messages, one.too_many, one.user_id))

    def _place(self) -> int:
        """Return what the counter of a new sender begins with: where all are taken, that of one who has sent least."""
        if len(self._counts) < self._counters:
            return 0
        count = self._lowest
        loser = next(iter(self._by_count[count]))
        self._leave(loser, count)
        del self._counts[loser], self._too_many[loser]
        return count

    def _leave(self, user_id: UserId, count: int) -> None:
        same = self._by_count[count]
        del same[user_id]
        if not same:
            del self._by_count[count]


class HeaviestSenders:
    """The window that goes on, and the one before it if that ended just then."""

    def __init__(self, clock: Clock, *, counters: int = _COUNTERS, window_seconds: float = _WINDOW_SECONDS) -> None:
        self._now: Callable[[], float] = clock.monotonic
        self._counters = counters
        self._window_seconds = window_seconds
        self._begun_at = self._now()
        self._current = SpaceSaving(counters)
        self._last: SpaceSaving | None = None

    def count(self, user_id: UserId) -> None:
        """Count a message of a sender."""
        if self._now() - self._begun_at >= self._window_seconds:
            self._turn()
        self._current.count(user_id)

    def told(self) -> dict[str, object]:
        """Return what is known, as JSON has it."""
        if self._now() - self._begun_at >= self._window_seconds:
            self._turn()
        seconds = round(self._now() - self._begun_at, 1)
        return {
            "counters": self._counters,
            "current": _told(self._current, seconds),
            "last": _told(self._last, self._window_seconds) if self._last is not None else None,
        }

    def _turn(self) -> None:
        windows = (self._now() - self._begun_at) // self._window_seconds
        self._last = self._current if windows == 1 else SpaceSaving(self._counters)
        self._current = SpaceSaving(self._counters)
        self._begun_at += windows * self._window_seconds


def _told(sketch: SpaceSaving, seconds: float) -> dict[str, object]:
    senders = [
        {"user_id": one.user_id, "messages": one.messages, "too_many": one.too_many} for one in sketch.heaviest()
    ]
    return {"seconds": seconds, "messages": sketch.messages, "senders": senders}
