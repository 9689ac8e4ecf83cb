"""How often each user may do something, for what the edge can't count. Nothing is refused: who is too fast waits.

It is the edge's rule (services/edge/rendering/rates.py), in this process alone: a bucket for each user that fills
evenly.
"""

from collections import OrderedDict

from services.runtime.clock import Clock
from services.runtime.ids import UserId

# So many times the rate may be used up at once, by whoever was quiet before.
BURST = 2
# Users whose rate is remembered; beyond that the one who was quiet for the longest is forgotten.
REMEMBERED_USERS = 20_000


class Rate:
    """What users may do so often in a second, each of them."""

    def __init__(self, per_second: int, clock: Clock, remembered_users: int = REMEMBERED_USERS) -> None:
        self._per_second = per_second
        self._clock = clock
        self._remembered_users = remembered_users
        # What is missing from each user's bucket, and as of when. Who came last stands last.
        self._missing: OrderedDict[UserId, tuple[float, float]] = OrderedDict()

    def take(self, user_id: UserId | None) -> float:
        """Take one out of a user's bucket, which may owe it; return the seconds to wait until it is there.

        None is a superuser without a subject, who has no rate.
        """
        if user_id is None:
            return 0.0
        now = self._clock.monotonic()
        missing, since = self._missing.pop(user_id, (0.0, now))
        missing = max(0.0, missing - (now - since) * self._per_second) + 1
        self._missing[user_id] = missing, now
        if len(self._missing) > self._remembered_users:
            self._missing.popitem(last=False)
        return max(0.0, missing - BURST * self._per_second) / self._per_second
