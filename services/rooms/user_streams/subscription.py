"""One open SubscribeUser: the queue of its stream, and the rooms that it follows."""

from collections.abc import Iterable
from datetime import timedelta

from services.rooms.user_streams.state_budget import Reservation, StateBudget
from services.runtime.access.doubts import Doubt
from services.runtime.access.port import AccessQuery, RoleKey
from services.runtime.clock import Clock
from services.runtime.contract.errors import ChatkitError, ResourceExhausted
from services.runtime.identity.tokens import Caller
from services.runtime.ids import RoomUid
from services.runtime.streaming.event_queue import EventQueue

# What may happen between the state and its sending, which waits for users.
_MOST_HELD_BYTES = 1024 * 1024


class UserSubscription:
    """A queue of serialized events between the changes of rooms and a stream, and what is known of its user."""

    def __init__(
        self, user_id: str, query: AccessQuery | None, caller: Caller, clock: Clock, budget: StateBudget
    ) -> None:
        self.user_id = user_id
        # What was asked when the stream was admitted, to be asked again; None for superusers, who need no permission.
        self.query = query
        # The changes up to this version are in the state.
        self.version = 0
        # The rooms under which the subscription stands in the index.
        self.rooms: set[RoomUid] = set()
        # As long as there is one nothing is sent.
        self.doubt = doubt = Doubt(clock)
        # The bytes of the state, until they are sent.
        self.reservation = Reservation(budget, user_id)
        self.queue = EventQueue(caller, clock, may_send=lambda: doubt.is_settled, on_taken=self.reservation.give_back)
        self._held: list[bytes] = []
        self._held_bytes = 0

    def start(self, beginning: Iterable[bytes]) -> None:
        """Queue how the stream starts, and what has come meanwhile."""
        self.queue.open(0, ((0, event) for event in beginning))
        held, self._held = self._held, []
        for event in held:
            self.push(event)

    def push(self, event: bytes) -> None:
        """Queue an event, behind the beginning where that is yet to come."""
        if self.queue.is_open or self.queue.error is not None:
            self.queue.push(0, event)
            return
        self._held.append(event)
        self._held_bytes += len(event)
        if self._held_bytes > _MOST_HELD_BYTES:
            self.cut(
                ResourceExhausted(
                    "SLOW_CONSUMER", "too much has changed before the stream was open", retry_after=timedelta(seconds=1)
                )
            )

    def cut(self, error: ChatkitError) -> None:
        """End the stream; what waits is not sent any more."""
        self._held.clear()
        self.queue.cut(error)

    def may_depend_on(self, role: RoleKey) -> bool:
        """Tell whether the user may have the permission by a role."""
        return self.query is not None and self.doubt.may_depend_on(role)
