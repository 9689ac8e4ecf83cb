"""The events of several rooms on one stream, without end: each room is resumed from our own position in it.

What holds for the room of a `Subscription` holds for each of these rooms. A room may close while the others go on.
"""

from collections.abc import AsyncGenerator, Mapping
from typing import TypedDict

from chatkit_client.calls import Calls
from chatkit_client.errors import from_closed
from chatkit_client.proto.messages.v1 import messages_service_pb2, position_pb2, room_event_pb2, room_subscription_pb2
from chatkit_client.retry import Backoff
from chatkit_client.streams.following import Following
from chatkit_client.streams.room_log import Item, Pages, RoomLog, Start


class RoomsOptions(TypedDict, total=False):
    """What a stream of several rooms asks for."""

    # The user whose rooms are followed: oneself, unless it is said.
    user_id: str
    # With how many messages rooms start for which nothing else is said.
    default_last: int | None
    # Follow also those of which the user is, or becomes, a member.
    follow_memberships: bool
    # Tell how far others have read.
    include_cursors: bool
    # Tell how much is unread.
    include_read_states: bool


class _Room:
    """A room, open or closed."""

    def __init__(self, room_id: str, start: Start, pages: Pages) -> None:
        self.log = RoomLog(room_id, start, pages)
        # False once the server has closed it for good; it may open the room again, when the user has joined it anew.
        self.is_followed = True
        # Of a room that closes again and again while the others go on.
        self.backoff = Backoff()

    def request(self) -> room_subscription_pb2.RoomSubscription:
        """Return where the room starts on the next stream."""
        log = self.log
        return room_subscription_pb2.RoomSubscription(room_id=log.room_id, after=log.position, last=log.last)


class RoomsSubscription(Following[room_event_pb2.RoomEvent, Item]):
    """An async iterator of the events of several rooms; use it as a context manager to close its stream.

    Yields, beside what a Subscription yields of each room, `opened` and `caught_up` of every stream (their room_id is
    empty; `caught_up` when all rooms have answered), `read_state` where it was asked for, and `closed` of a room that
    the user has left, or may not read, or for which there is no place. Such a room is asked for no more, but with
    `follow_memberships` it may be opened again, and goes on where it was. Raises ChatkitError when the ending of the
    stream is final: TOKEN_EXPIRED unless tokens are fetched by a function.
    """

    def __init__(
        self,
        rooms: Mapping[str, Start],
        options: RoomsOptions,
        *,
        calls: Calls,
        pages: Pages,
    ) -> None:
        super().__init__(calls)
        self._pages = pages
        self._rooms = {room_id: _Room(room_id, start, pages) for room_id, start in rooms.items()}
        # What every stream asks for alike.
        self._wish = messages_service_pb2.SubscribeRoomsRequest(**options)

    @property
    def positions(self) -> dict[str, position_pb2.Position]:
        """After the last event that was processed, by room; rooms that were never opened are left out."""
        logs = [room.log for room in self._rooms.values()]
        return {log.room_id: log.position for log in logs if log.position is not None}

    @property
    def repeated(self) -> int:
        """How often the server sent an event again, which it never should."""
        return sum(room.log.repeated for room in self._rooms.values())

    @property
    def holes(self) -> int:
        """How often the server left events out, which it never should."""
        return sum(room.log.holes for room in self._rooms.values())

    def _begin(self) -> None:
        for room in self._rooms.values():
            room.log.begin()

    def _request(self) -> messages_service_pb2.SubscribeRoomsRequest:
        request = messages_service_pb2.SubscribeRoomsRequest()
        request.CopyFrom(self._wish)
        request.rooms.extend(room.request() for room in self._rooms.values() if room.is_followed)
        return request

    def _is_of_a_room(self, event: room_event_pb2.RoomEvent) -> bool:
        return bool(event.room_id)

    async def _take(self, event: room_event_pb2.RoomEvent) -> AsyncGenerator[Item, None]:
        if not event.room_id:
            if not event.HasField("heartbeat"):
                yield event
            return
        room = self._rooms.get(event.room_id)
        if room is None:
            # One that the user has joined.
            room = self._rooms[event.room_id] = _Room(event.room_id, None, self._pages)
        if event.HasField("closed"):
            self._close(room, event.closed)
            yield event
            return
        room.is_followed = True
        async for item in room.log.take(event):
            yield item
            if event.seq:
                room.backoff.succeeded()

    def _close(self, room: _Room, closed: room_event_pb2.Closed) -> None:
        """Follow a room no longer; raises when it is to be resumed, for which all of them need another stream."""
        ending = from_closed(closed)
        # A place is made by leaving another room, and never by asking again.
        if ending.is_resumable and ending.reason != "QUOTA_EXCEEDED":
            ending.retry_after = room.backoff.next_delay(ending.retry_after)
            raise ending
        room.is_followed = False
