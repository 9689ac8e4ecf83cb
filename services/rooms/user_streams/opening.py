"""How a SubscribeUser opens, runs and ends.

The state is read with its version, and the subscription registered in the step in which the tail of the changes is not
past that. What happens from then on waits behind the state.
"""

from collections.abc import AsyncGenerator
from datetime import datetime

from services.rooms.model import Change, RoomView
from services.rooms.peers import UsersClient
from services.rooms.user_streams import frames
from services.rooms.user_streams.access import UserAccess
from services.rooms.user_streams.store import UserStateStore
from services.rooms.user_streams.streams import UserStreams, is_understood, log_reset
from services.rooms.user_streams.subscription import UserStream, UserSubscription
from services.rooms.user_streams.watch import UserWatch
from services.runtime.access.port import AccessQuery
from services.runtime.clock import Clock
from services.runtime.contract.errors import ChatkitError
from services.runtime.data.database import POOL_CONNECTIONS
from services.runtime.fair_queue import FairQueue
from services.runtime.identity.tokens import Caller
from services.runtime.ids import RoomId, RoomUid
from services.runtime.steps import Leisure, Pace
from services.runtime.streaming.open_streams import OnEnd, spread_delay
from services.runtime.streaming.state_budget import Reservation, StateBudget

# Fewer than there are connections to the database, so that calls and the tail find one.
_READ_AT_ONCE = POOL_CONNECTIONS - 1
_PAGE = 500
# What serializing a room counts in a step, and how many of its members count as much as one thing.
_ROOM, _MEMBERS = 5, 16


class _State:
    """The rooms of a user as serialized events, as of a version."""

    def __init__(self, user_id: str, version: int) -> None:
        self.version = version
        self.rooms: dict[RoomUid, tuple[RoomId, bytes]] = {}
        self._user_id = user_id

    @property
    def size(self) -> int:
        return sum(len(event) for _, event in self.rooms.values())

    async def add(self, views: dict[RoomUid, RoomView], now: datetime, pace: Pace) -> None:
        for room_uid, view in views.items():
            self.rooms[room_uid] = view.room.id, frames.room_event(now, view).frame
            await pace.did(_ROOM + len(view.member_ids) // _MEMBERS)

    def touched_by(self, change: Change) -> RoomUid | None:
        """Return the room of the user that a change is about."""
        is_of_user = change.user_id == self._user_id or change.room_uid in self.rooms
        return change.room_uid if is_of_user else None

    def has_user_in(self, view: RoomView) -> bool:
        """Tell whether the user is a member."""
        return self._user_id in view.member_ids

    def in_order(self) -> list[bytes]:
        return [event for _, event in sorted(self.rooms.values())]


class UserOpenings:
    """The use case of SubscribeUser."""

    def __init__(
        self,
        store: UserStateStore,
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
        self._streams = streams
        self._watch = watch
        self._access = access
        self._users = users
        self._clock = clock
        self._budget = StateBudget(most_state_bytes)
        self._leisure = leisure
        self._reading = FairQueue(_READ_AT_ONCE, of_each=1)

    @property
    def waiting_bytes(self) -> int:
        """The bytes of state that wait for clients to read them."""
        return self._budget.used

    async def subscribe(
        self, user_id: str, query: AccessQuery | None, caller: Caller, on_end: OnEnd
    ) -> AsyncGenerator[bytes, None]:
        """Yield the frames of a user's stream, `closed` included, and then raise why it ended.

        `on_end` is told how the stream ends with its token once it is open, and can say goodbye.
        """
        subscription = UserStream(user_id, query, caller, self._clock, self._budget)
        try:
            await self.open(subscription, subscription.reservation)
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

    async def open(self, subscription: UserSubscription, reservation: Reservation | None = None) -> None:
        """Register a subscription and queue how it starts; whoever opens it lets it leave, come what may.

        The bytes of the state are taken from the reservation. Raises USER_NOT_FOUND, what the access of the user
        raises, and why the subscription has ended meanwhile.
        """
        await self._streams.started()
        await self._watch.settled()
        async with self._reading.turn(subscription.user_id):
            rooms = await self._register(subscription, reservation)
        await self._access.confirm(subscription)
        # After it is registered, so that no change of the user comes between.
        user = await self._users.get(subscription.user_id)
        if subscription.error is not None:
            raise subscription.error
        now, place = (
            self._clock.now(),
            self._streams.present.position_at(subscription.version, subscription.users_version),
        )
        opened, caught_up = frames.opened_event(now, user), frames.caught_up_event(now, len(rooms), place)
        subscription.start([opened.frame, *rooms], caught_up)

    async def _register(self, subscription: UserSubscription, reservation: Reservation | None) -> list[bytes]:
        """Read the state and register; return its events."""
        resets = self._streams.resets
        read = await self._store.state(subscription.user_id)
        state = _State(subscription.user_id, read.version)
        await state.add({view.room.uid: view for view in read.views}, self._clock.now(), self._leisure.pace())
        while not self._join(subscription, state, resets):
            await self._advance(state)
        if reservation is not None:
            reservation.take(state.size, spread_delay())
        return state.in_order()

    def _join(self, subscription: UserSubscription, state: _State, resets: int) -> bool:
        if self._streams.resets != resets:
            # The versions may be another database's.
            raise log_reset()
        rooms = [(room_uid, room_id) for room_uid, (room_id, _) in state.rooms.items()]
        return self._streams.join(subscription, rooms, state.version)

    async def _advance(self, state: _State) -> None:
        """Bring a state that the tail has passed up to a later version.

        Rooms that have changed are read as they are by now, which may be later still: they are shown so again by the
        changes that follow, as all events may be.
        """
        changes = await self._store.changes_after(state.version, _PAGE)
        if not changes or changes[0].version != state.version + 1 or not all(map(is_understood, changes)):
            raise log_reset()
        touched = {room_uid for change in changes if (room_uid := state.touched_by(change)) is not None}
        views = await self._store.views(touched, touched) if touched else {}
        for room_uid in touched:
            state.rooms.pop(room_uid, None)
        await state.add(
            {uid: view for uid, view in views.items() if state.has_user_in(view)},
            self._clock.now(),
            self._leisure.pace(),
        )
        state.version = changes[-1].version
