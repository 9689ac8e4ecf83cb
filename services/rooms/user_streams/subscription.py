"""One subscriber of a user: what is told to them waits in a queue, and what is known of the user is here.

The queue is that of a stream of their own, or their part of a feed.
"""

from abc import abstractmethod
from collections.abc import Iterable
from datetime import timedelta

from services.rooms.user_streams.frames import Event
from services.runtime.access.doubts import Doubt
from services.runtime.access.port import AccessQuery, RoleKey
from services.runtime.clock import Clock
from services.runtime.contract.errors import ChatkitError, ResourceExhausted
from services.runtime.identity.tokens import Caller
from services.runtime.ids import RoomUid
from services.runtime.streaming.event_queue import EventQueue
from services.runtime.streaming.feed import FollowerQueue
from services.runtime.streaming.state_budget import Reservation, StateBudget

# What may happen between the state and its sending, which waits for users.
_MOST_HELD_BYTES = 1024 * 1024


class UserSubscription:
    """What is told to a subscriber of a user, from a version on, and what is known of that user."""

    __slots__ = ("_held", "_held_bytes", "doubt", "query", "rooms", "user_id", "users_version", "version")

    def __init__(self, user_id: str, query: AccessQuery | None, clock: Clock) -> None:
        self.user_id = user_id
        # What was asked when the subscriber was admitted, to be asked again; None for superusers, who need no
        # permission.
        self.query = query
        # The changes up to this version are in the state.
        self.version = 0
        # The changes of users up to this version are in what the client asks for once it has the state.
        self.users_version = 0
        # The rooms under which the subscription stands in the index.
        self.rooms: set[RoomUid] = set()
        # As long as there is one nothing is sent.
        self.doubt = Doubt(clock)
        # What has come before the beginning; None from then on.
        self._held: list[Event] | None = []
        self._held_bytes = 0

    def start(self, beginning: Iterable[bytes], caught_up: Event) -> None:
        """Queue how the stream starts, and what has come meanwhile."""
        self._open(beginning)
        held, self._held = self._held or [], None
        for event in (caught_up, *held):
            self._queue(event)

    def push(self, event: Event) -> None:
        """Queue an event, behind the beginning where that is yet to come."""
        if self._held is None or self.error is not None:
            self._queue(event)
            return
        self._held.append(event)
        self._held_bytes += len(event.frame)
        if self._held_bytes > _MOST_HELD_BYTES:
            self.cut(
                ResourceExhausted(
                    "SLOW_CONSUMER", "too much has changed before the stream was open", retry_after=timedelta(seconds=1)
                )
            )

    def may_depend_on(self, role: RoleKey) -> bool:
        """Tell whether the user may have the permission by a role."""
        return self.query is not None and self.doubt.may_depend_on(role)

    def raise_doubt(self) -> None:
        """Send nothing until `trust`."""
        self.doubt.rise()

    @property
    @abstractmethod
    def error(self) -> ChatkitError | None:
        """Why the subscription has ended, if it has."""

    @abstractmethod
    def trust(self) -> None:
        """Send what waits, after an answer."""

    @abstractmethod
    def end(self, error: ChatkitError) -> None:
        """End the subscription: what waits is still sent, if it may be; the first ending counts."""

    @abstractmethod
    def cut(self, error: ChatkitError) -> None:
        """End the subscription; what waits is not sent any more."""

    def tend(self, _interval: float) -> bool:
        """Look after the subscription; return whether it wants a heartbeat of its own."""
        return False

    def beat(self, event: Event) -> None:
        """Queue a heartbeat."""
        self.push(event)

    @abstractmethod
    def _open(self, beginning: Iterable[bytes]) -> None:
        """Queue the beginning, and admit what follows."""

    @abstractmethod
    def _queue(self, event: Event) -> None:
        """Queue an event."""


class UserStream(UserSubscription):
    """The subscriber is a stream of its own."""

    __slots__ = ("_clock", "queue", "reservation")

    def __init__(
        self, user_id: str, query: AccessQuery | None, caller: Caller, clock: Clock, budget: StateBudget
    ) -> None:
        super().__init__(user_id, query, clock)
        self._clock = clock
        doubt = self.doubt
        # The bytes of the state, until they are sent.
        self.reservation = Reservation(budget, user_id)
        self.queue = EventQueue(caller, clock, may_send=lambda: doubt.is_settled, on_taken=self.reservation.give_back)

    @property
    def error(self) -> ChatkitError | None:
        """Why the stream has ended, if it has."""
        return self.queue.error

    def trust(self) -> None:
        """Send what waits, after an answer."""
        self.queue.wake()

    def end(self, error: ChatkitError) -> None:
        """End the stream: what waits is still sent, if it may be; the first ending counts."""
        self.queue.end(error)

    def cut(self, error: ChatkitError) -> None:
        """End the stream; what waits is not sent any more."""
        self._held = None
        self.queue.cut(error)

    def tend(self, interval: float) -> bool:
        """End the stream if it is not read; return whether it wants a heartbeat."""
        self.queue.check_progress()
        return self.queue.is_open and self._clock.monotonic() - self.queue.heartbeat_at >= interval

    def beat(self, event: Event) -> None:
        """Queue a heartbeat."""
        self.push(event)
        self.queue.heartbeat_at = self._clock.monotonic()

    def _open(self, beginning: Iterable[bytes]) -> None:
        self.queue.open(0, ((0, event) for event in beginning))

    def _queue(self, event: Event) -> None:
        self.queue.push(0, event.frame)


class FollowedUser(UserSubscription):
    """The subscriber is one of many on a feed."""

    __slots__ = ("_part",)

    def __init__(self, user_id: str, query: AccessQuery | None, part: FollowerQueue, clock: Clock) -> None:
        super().__init__(user_id, query, clock)
        self._part = part

    @property
    def number(self) -> int:
        """What names the follower on the feed."""
        return self._part.number

    @property
    def error(self) -> ChatkitError | None:
        """Why the follower has ended, if they have."""
        return self._part.error

    def raise_doubt(self) -> None:
        """Send nothing until `trust`."""
        super().raise_doubt()
        self._part.hold()

    def trust(self) -> None:
        """Send what waits, after an answer."""
        self._part.release()

    def end(self, error: ChatkitError) -> None:
        """Refuse the follower: what waits is still sent, if it may be; the first ending counts."""
        self._part.end(error)

    def cut(self, error: ChatkitError) -> None:
        """Refuse the follower; what waits is not sent any more."""
        self._held = None
        self._part.cut(error)

    def leave(self) -> None:
        """Drop what waits, because the follower wants it no longer."""
        self._held = None
        self._part.leave()

    def _open(self, beginning: Iterable[bytes]) -> None:
        self._part.open(0, ((0, event) for event in beginning))

    def _queue(self, event: Event) -> None:
        self._part.push(0, event.frame, event.place)
