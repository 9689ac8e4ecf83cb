"""One open SubscribeUser: the queue of its stream, the rooms that it follows, and the memory that its state takes."""

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta

from services.runtime.access.doubts import Doubt
from services.runtime.access.port import AccessQuery, RoleKey
from services.runtime.clock import Clock
from services.runtime.contract.errors import ResourceExhausted, Unavailable
from services.runtime.identity.tokens import Caller
from services.runtime.ids import RoomUid
from services.runtime.streaming.event_queue import EventQueue

# What may happen between the state and its sending, which waits for users.
_MOST_HELD_BYTES = 1024 * 1024
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


class UserSubscription(EventQueue):
    """A queue of serialized events between the changes of rooms and a stream."""

    def __init__(
        self, user_id: str, query: AccessQuery | None, caller: Caller, clock: Clock, budget: StateBudget
    ) -> None:
        super().__init__(caller, clock)
        self.user_id = user_id
        # What was asked when the stream was admitted, to be asked again; None for superusers, who need no permission.
        self.query = query
        # The changes up to this version are in the state.
        self.version = 0
        # The rooms under which the subscription stands in the index.
        self.rooms: set[RoomUid] = set()
        # As long as there is one nothing is sent.
        self.doubt = Doubt(clock)
        self._budget = budget
        self._reserved = 0
        self._held: list[bytes] = []
        self._held_bytes = 0

    def reserve(self, size: int, retry_after: timedelta) -> None:
        """Take the bytes of the state from the process's budget until they are sent, or raise OVERLOADED."""
        self._budget.take(self.user_id, size, retry_after)
        self._reserved += size

    def give_back(self, size: int | None = None) -> None:
        """Give bytes back to the budget; all without a size."""
        given = self._reserved if size is None else min(size, self._reserved)
        self._reserved -= given
        self._budget.give(self.user_id, given)

    def start(self, beginning: Iterable[bytes]) -> None:
        """Queue how the stream starts, and what has come meanwhile."""
        self.open(0, ((0, event) for event in beginning))
        held, self._held = self._held, []
        for event in held:
            self.push(0, event)

    def push(self, seq: int, event: bytes) -> None:
        """Queue an event, behind the beginning where that is yet to come."""
        if self.is_open or self.error is not None:
            super().push(seq, event)
            return
        self._held.append(event)
        self._held_bytes += len(event)
        if self._held_bytes > _MOST_HELD_BYTES:
            self.cut(
                ResourceExhausted(
                    "SLOW_CONSUMER", "too much has changed before the stream was open", retry_after=timedelta(seconds=1)
                )
            )

    def may_depend_on(self, role: RoleKey) -> bool:
        """Tell whether the user may have the permission by a role."""
        return self.query is not None and self.doubt.may_depend_on(role)

    def _may_send(self) -> bool:
        return self.doubt.is_settled

    def _drain(self) -> bytes:
        frame = super()._drain()
        self.give_back(len(frame))
        return frame

    def _drop(self) -> None:
        super()._drop()
        self._held.clear()
        self.give_back()
