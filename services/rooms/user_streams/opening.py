"""How a SubscribeUser opens, runs and ends.

What it begins with is read with its version, and the subscription registered in the step in which the tail of the
changes is not past that. What happens from then on waits behind the beginning.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import nullcontext

from services.rooms.peers import UsersClient
from services.rooms.user_streams import frames
from services.rooms.user_streams.access import UserAccess
from services.rooms.user_streams.beginnings import Resumption, State
from services.rooms.user_streams.missed_store import MissedStore
from services.rooms.user_streams.position import UserPosition
from services.rooms.user_streams.store import UserStateStore
from services.rooms.user_streams.streams import UserStreams, log_reset
from services.rooms.user_streams.subscription import UserStream, UserSubscription
from services.rooms.user_streams.watch import UserWatch
from services.runtime.access.port import AccessQuery
from services.runtime.clock import Clock
from services.runtime.contract.errors import ChatkitError
from services.runtime.data.database import POOL_CONNECTIONS
from services.runtime.fair_queue import FairQueue
from services.runtime.identity.tokens import Caller
from services.runtime.steps import Leisure
from services.runtime.streaming.open_streams import OnEnd, spread_delay
from services.runtime.streaming.state_budget import Reservation, StateBudget

# Fewer than there are connections to the database, so that calls and the tail find one.
_READ_AT_ONCE = POOL_CONNECTIONS - 1
# States that are read, or wait for what is asked before they are queued.
_STATES_AT_ONCE = 8


class UserOpenings:
    """The use case of SubscribeUser."""

    def __init__(
        self,
        store: UserStateStore,
        missed: MissedStore,
        streams: UserStreams,
        watch: UserWatch,
        access: UserAccess,
        users: UsersClient,
        clock: Clock,
        leisure: Leisure,
        *,
        most_state_bytes: int,
    ) -> None:
        self._store = store
        self._missed = missed
        self._streams = streams
        self._watch = watch
        self._access = access
        self._users = users
        self._clock = clock
        self._budget = StateBudget(most_state_bytes)
        self._leisure = leisure
        self._reading = FairQueue(_READ_AT_ONCE, of_each=1)
        # Of followers, whose states are in no budget.
        self._states = asyncio.Semaphore(_STATES_AT_ONCE)

    @property
    def waiting_bytes(self) -> int:
        """The bytes of state that wait for clients to read them."""
        return self._budget.used

    async def subscribe(
        self, user_id: str, after: UserPosition | None, query: AccessQuery | None, caller: Caller, on_end: OnEnd
    ) -> AsyncGenerator[bytes, None]:
        """Yield the frames of a user's stream, `closed` included, and then raise why it ended.

        It goes on after a position if it can. `on_end` is told how the stream ends with its token once it is open, and
        can say goodbye.
        """
        subscription = UserStream(user_id, query, caller, self._clock, self._budget)
        try:
            await self.open(subscription, after, subscription.reservation)
            on_end(subscription.cut)
            try:
                async for frame in subscription.queue.frames():
                    yield frame
            except ChatkitError as error:
                yield frames.closed_event(self._clock.now(), error).frame
                raise
        finally:
            self._streams.leave(subscription)
            subscription.reservation.give_back()

    async def open(
        self, subscription: UserSubscription, after: UserPosition | None, reservation: Reservation | None = None
    ) -> None:
        """Register a subscription and queue how it starts; whoever opens it lets it leave, come what may.

        It goes on after a position if it can. The bytes of the beginning are taken from the reservation. Raises
        USER_NOT_FOUND, what the access of the user raises, and why the subscription has ended meanwhile.
        """
        await self._streams.started()
        await self._watch.settled()
        # Before anything is read: what comes later is of another life.
        resets = self._streams.resets
        beginning = await self._beginning(subscription.user_id, after)
        is_bounded = reservation is not None or beginning.after is not None
        async with nullcontext() if is_bounded else self._states:
            await self._start(subscription, beginning, resets, reservation)

    async def _beginning(self, user_id: str, after: UserPosition | None) -> State | Resumption:
        """Return how a subscription begins: with what was missed, which was looked up then, or with the state."""
        present = self._streams.present
        if after is not None and await self._watch.reaches(after) and after.rooms_epoch == present.rooms_epoch:
            resumption = Resumption(user_id, after, self._store, self._missed, self._leisure)
            if await resumption.look():
                return resumption
        return State(user_id, self._store, self._clock, self._leisure)

    async def _start(
        self,
        subscription: UserSubscription,
        beginning: State | Resumption,
        resets: int,
        reservation: Reservation | None,
    ) -> None:
        """Read a beginning, and register and start the subscription."""
        # A crowd that has missed nothing waits for no turn.
        async with nullcontext() if beginning.is_nothing else self._reading.turn(subscription.user_id):
            await beginning.read()
            while not self._join(subscription, beginning, resets):
                await beginning.advance()
            events = [*beginning.events(), *await self._changed_users(subscription, beginning)]
            if reservation is not None:
                reservation.take(sum(map(len, events)), spread_delay())
        await self._access.confirm(subscription)
        # After it is registered, so that no change of the user comes between.
        user = await self._users.get(subscription.user_id)
        if subscription.error is not None:
            raise subscription.error
        now = self._clock.now()
        place = self._streams.present.position_at(subscription.version, subscription.users_version)
        opened = frames.opened_event(now, user, resumed=beginning.after is not None)
        caught_up = frames.caught_up_event(now, beginning.room_count, place)
        subscription.start([opened.frame, *events], caught_up)

    def _join(self, subscription: UserSubscription, beginning: State | Resumption, resets: int) -> bool:
        if self._streams.resets != resets:
            # The versions may be another database's.
            raise log_reset()
        return self._streams.join(subscription, beginning.rooms(), beginning.version)

    async def _changed_users(self, subscription: UserSubscription, beginning: State | Resumption) -> list[bytes]:
        """Return the serialized changes of users that a subscription has missed which goes on after a position."""
        after = beginning.after
        if after is None:
            return []
        changed = self._watch.changed_after(after.users_version)
        if changed is None:
            # So many have come since it was looked at.
            raise log_reset()
        others = [
            one for one in changed if one.version <= subscription.users_version and one.user.id != subscription.user_id
        ]
        if not others:
            return []
        rooms = {room_uid for room_uid, _ in beginning.rooms()}
        known = await self._missed.acquainted(subscription.user_id, rooms, [one.user.id for one in others])
        return [
            frames.user_updated_event(one.user, after.moved_to(subscription.version, one.version)).frame
            for one in others
            if one.user.id in known
        ]
