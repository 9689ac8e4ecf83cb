"""The stream of one device: that of its rooms, with the parts that feeds tell, and what is about the stream itself."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from services.messages.model import Start
from services.messages.streams.rooms_stream import RoomOfStream, RoomsStream
from services.messages.sync import frames
from services.messages.sync.frames import Part
from services.messages.sync.parts import FedPart, UserPart
from services.runtime.access.cache import Freshness
from services.runtime.access.port import AccessQuery
from services.runtime.clock import Clock
from services.runtime.contract.errors import ChatkitError
from services.runtime.identity.tokens import Caller
from services.runtime.streaming.live_event import LiveEvent
from services.runtime.streaming.open_streams import spread_delay, warning_time
from services.runtime.streaming.state_budget import Reservation

_ROOMS = frames.ROOMS


class DeviceStream(RoomsStream):
    """All that a device follows, in one queue."""

    def __init__(
        self,
        stream_id: str,
        query: AccessQuery,
        caller: Caller,
        clock: Clock,
        freshness: Freshness,
        *,
        ending_delay: float,
        state: Reservation,
        follows_rooms: bool,
        follows_memberships: bool,
        includes_cursors: bool,
        includes_read_states: bool,
        sends_events: bool,
        sends_events_of: Mapping[str, bool],
        default_start: Start,
    ) -> None:
        super().__init__(
            query,
            caller,
            clock,
            freshness,
            ending_delay=ending_delay,
            follows_memberships=follows_memberships,
            includes_cursors=includes_cursors,
            includes_read_states=includes_read_states,
            on_taken=state.give_back,
        )
        self.id = stream_id
        self.caller = caller
        # The parts that feeds tell.
        self.parts: list[FedPart] = []
        # Whether all that happens in a room is sent: where the room says so, and else.
        self._sends_events_of = dict(sends_events_of)
        self._sends_events = sends_events
        self._default_start = default_start
        self._state = state
        self._untold: set[Part] = {_ROOMS} if follows_rooms else set()
        # Whether rooms were asked for, now or later.
        self._follows_rooms = follows_rooms
        self._has_caught_up = False
        # None once it was said.
        self._warn_at: datetime | None = warning_time(caller, clock.now())

    def add(self, part: FedPart) -> None:
        """Have a part that a feed tells."""
        self.parts.append(part)
        self._untold.add(part.part)

    def open(self) -> None:
        """Queue how the stream starts."""
        self.queue.open(0, [(0, frames.opened_event(self.id, self.caller.expire_time))])

    # What is sent.

    def sends_events(self, room_id: str) -> bool:
        """Tell whether all that happens in a room is sent, and not only what it holds for the user."""
        return self._sends_events_of.get(room_id, self._sends_events)

    def push(self, seq: int, event: bytes, room: RoomOfStream | None = None, live: LiveEvent | None = None) -> None:
        """Queue an event: of a room as SubscribeRooms has it, or else of this stream."""
        self.queue.push(seq, frames.of_room(event) if room is not None else event, room, live)

    def begin(self, beginning: Iterable[tuple[int, bytes]], room: RoomOfStream) -> None:
        """Queue how a room starts."""
        self.queue.begin([(seq, frames.of_room(event)) for seq, event in beginning], room)

    def say_of_room(self, event: bytes) -> None:
        """Queue what is said of a room that is not open."""
        self.queue.push(0, frames.of_room(event))

    def send_state(self, events: Iterable[bytes]) -> None:
        """Queue frames of how it stands, whatever their size; where too much waits for clients the stream ends."""
        told = [(0, event) for event in events]
        if self.queue.error is not None:
            return
        try:
            self._state.take(sum(len(event) for _, event in told), spread_delay())
        except ChatkitError as error:
            self.cut(error)
            return
        self.queue.begin(told)

    def cut(self, error: ChatkitError) -> None:
        """End the stream; what waits is not sent any more."""
        self.queue.cut(error)

    def forget_state(self) -> None:
        """Count no longer what was to be sent: the stream has ended."""
        self._state.give_back()

    def catch_up(self) -> None:
        """Hear that every room that was asked for has answered."""
        self.has_caught_up(_ROOMS)

    def has_caught_up(self, part: Part) -> None:
        """Hear that a part has told how it stands; when all have, the device is told."""
        self._untold.discard(part)
        if not self._untold and not self._has_caught_up:
            self._has_caught_up = True
            # Behind the state, which waits without being counted.
            self.queue.push(0, frames.caught_up_event())

    def beat(self, *, is_all_known: bool) -> bool:
        """Send a sign of life, which says of what parts it is not known whether all was sent."""
        behind = [part.part for part in self.parts if part.is_behind]
        if self._follows_rooms and not is_all_known:
            behind.insert(0, _ROOMS)
        places = (part.position for part in self.parts if isinstance(part, UserPart))
        self.push(0, frames.heartbeat_event(behind, next(places, None)))
        return True

    def check_access(self) -> None:
        """End what nobody could say for too long that the user still has, and warn of the token's end."""
        super().check_access()
        if self._warn_at is not None and self.clock.now() >= self._warn_at:
            self._warn_at = None
            self.queue.push(0, frames.token_expiring_event(self.caller.expire_time))

    # What is changed.

    def follow(self, rooms: Mapping[str, tuple[Start | None, bool | None]]) -> None:
        """Follow more rooms; one that is followed and sent in another way is opened anew, and else stays as it is.

        Each has where it starts and whether all that happens in it is sent; None is what the stream does by default.
        """
        if not rooms:
            return
        self._follows_rooms = True
        ways = {room_id: self._sends_events if sends is None else sends for room_id, (_, sends) in rooms.items()}
        followed = {room.room_id: room.sends_events for room in self.rooms.values() if room.room_id in ways}
        same = {room_id for room_id, way in followed.items() if way == ways[room_id]}
        self.drop(followed.keys() - same)
        self._sends_events_of |= ways
        self.want(
            {room_id: start or self._default_start for room_id, (start, _) in rooms.items() if room_id not in same}
        )

    def renew(self, caller: Caller) -> None:
        """Live as long as another token of the same user."""
        if caller.expire_time > self.caller.expire_time:
            self.caller = caller
            self.queue.renew(caller)
            self._warn_at = warning_time(caller, self.clock.now())
