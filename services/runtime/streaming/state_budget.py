"""The memory that states take which wait for their clients to read them."""

from collections import Counter
from datetime import timedelta

from services.runtime.contract.errors import Unavailable

# So many users who don't read can take all of the budget together, and not one of them.
_USERS = 4


class StateBudget:
    """The bytes of state that wait for clients to read them, bounded for the process and for each user."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._of_user: Counter[str] = Counter()
        self._used = 0

    def take(self, user_id: str, size: int, retry_after: timedelta) -> None:
        """Reserve bytes, or raise OVERLOADED; a state that is larger than the bound may wait alone."""
        self._check(self._of_user[user_id], size, self._most_bytes // _USERS, retry_after)
        self._check(self._used, size, self._most_bytes, retry_after)
        self._of_user[user_id] += size
        self._used += size

    def give(self, user_id: str, size: int) -> None:
        """Give bytes back."""
        self._of_user[user_id] -= size
        self._used -= size
        if not self._of_user[user_id]:
            del self._of_user[user_id]

    @property
    def used(self) -> int:
        """The bytes that wait."""
        return self._used

    @staticmethod
    def _check(used: int, size: int, most: int, retry_after: timedelta) -> None:
        if used and used + size > most:
            raise Unavailable("OVERLOADED", "too much state waits for clients to read it", retry_after=retry_after)


class Reservation:
    """What one stream has of the budget."""

    def __init__(self, budget: StateBudget, user_id: str) -> None:
        self._budget = budget
        self._user_id = user_id
        self._size = 0

    def take(self, size: int, retry_after: timedelta) -> None:
        """Take bytes from the budget until they are given back, or raise OVERLOADED."""
        self._budget.take(self._user_id, size, retry_after)
        self._size += size

    def give_back(self, size: int | None = None) -> None:
        """Give bytes back, if there are so many; all without a size."""
        given = self._size if size is None else min(size, self._size)
        self._size -= given
        self._budget.give(self._user_id, given)
