"""Who is typing: told to a room's subscribers here and over the bus, stored nowhere, and not told again when lost.

A process shows one event per user, room and second on average, wherever it came from; so nobody is shown more, however
many replicas are asked. Receivers let it lapse after 1.5 seconds, so nothing says that somebody has stopped.
"""

from datetime import datetime
from itertools import islice
from uuid import UUID

from chatkit.messages.v1 import room_event_pb2

from services.messages import frames
from services.messages.fanout.hubs import Hubs
from services.runtime.bus.port import Bus
from services.runtime.clock import Clock
from services.runtime.contract.timestamps import timestamp
from services.runtime.ids import RoomId, RoomUid, UserId

_SECONDS = 1.0
# So much too early an event may come, at the cost of the one after it: whoever tells it once a second must not lose
# every other one to the network's jitter, because the indicator would go out in between.
_JITTER_SECONDS = 0.2
_UID_BYTES = 16
_DROPPED_AT_ONCE = 16


class TypingIndicator:
    """Shows who is typing, within bounds."""

    def __init__(self, hubs: Hubs, bus: Bus, subject: str, clock: Clock) -> None:
        self._hubs = hubs
        self._bus = bus
        self._subject = subject
        self._clock = clock
        # From when on each user may be shown again in each room, about in this order; what is over is soon dropped.
        self._due: dict[tuple[RoomUid, str], float] = {}

    async def listen(self) -> None:
        """Hear who is typing at other replicas."""
        await self._bus.subscribe(self._subject, self)

    def show(self, room_id: RoomId, room_uid: RoomUid, user_id: UserId) -> None:
        """Show that a user is typing, here and elsewhere; more often than once a second changes nothing."""
        if self._is_due(room_uid, user_id):
            event = _typing(room_id, self._clock.now(), user_id)
            self._hubs.show(room_uid, event, author_id=user_id)
            self._bus.publish(self._subject, room_uid.bytes + user_id.encode(), event)

    # What other replicas tell.

    def received(self, key: bytes, payload: bytes) -> None:
        """Show that a user is typing at another replica. Raises a ValueError for a key that is none."""
        if len(key) <= _UID_BYTES:
            raise ValueError("the key is not one of a user who is typing")
        room_uid, user_id = RoomUid(UUID(bytes=key[:_UID_BYTES])), key[_UID_BYTES:].decode()
        if payload and self._is_due(room_uid, user_id):
            self._hubs.show(room_uid, payload, author_id=user_id)

    def missed(self) -> None:
        """Do nothing: it is over."""

    def _is_due(self, room_uid: RoomUid, user_id: str) -> bool:
        now, key = self._clock.monotonic(), (room_uid, user_id)
        # A few at a time, which is faster than they come: a crowd that stops at once is not dropped at once.
        for oldest in list(islice(self._due, _DROPPED_AT_ONCE)):
            if self._due[oldest] > now:
                break
            del self._due[oldest]
        due = max(self._due.get(key, now), now)
        if due - now > _JITTER_SECONDS:
            return False
        self._due.pop(key, None)
        self._due[key] = due + _SECONDS
        return True


def _typing(room_id: RoomId, now: datetime, user_id: UserId) -> bytes:
    """Serialize, as a frame, that a user is typing."""
    typing = room_event_pb2.Typing(user_id=user_id)
    return frames.event_frame(room_event_pb2.RoomEvent(room_id=room_id, time=timestamp(now), typing=typing))
