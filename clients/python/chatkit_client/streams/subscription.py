"""A room's events without end: resumed from our own position after every ending that is not final.

Every seq of the log is yielded once and in order, or lies in a Gap that is yielded in its place, however often the
connection was lost.
"""

from collections.abc import AsyncGenerator

from chatkit_client.calls import Calls
from chatkit_client.proto.messages.v1 import messages_service_pb2, position_pb2, room_event_pb2
from chatkit_client.streams.following import Following
from chatkit_client.streams.room_log import Item, Pages, RoomLog, Start


class Subscription(Following[room_event_pb2.RoomEvent, Item]):
    """An async iterator of a room's events; use it as a context manager to close its stream when you stop reading.

    Yields `opened` and `caught_up` of every stream, the events of the log, events outside the log as they come (their
    seq is 0: `typing`, and with `include_cursors` `cursor_set`, which every stream starts with anew), and a Gap for
    what is not to be had. Raises ChatkitError when an ending is final: REMOVED_FROM_ROOM, ROOM_DELETED,
    ROOM_ACCESS_DENIED, and TOKEN_EXPIRED unless tokens are fetched by a function.
    """

    def __init__(
        self,
        room_id: str,
        start: Start,
        *,
        include_cursors: bool = False,
        calls: Calls,
        pages: Pages,
    ) -> None:
        super().__init__(calls)
        self.room_id = room_id
        self._log = RoomLog(room_id, start, pages)
        self._include_cursors = include_cursors

    @property
    def position(self) -> position_pb2.Position | None:
        """After the last event that was processed, which it is when the next one is asked for."""
        return self._log.position

    @property
    def repeated(self) -> int:
        """How often the server sent an event again, which it never should."""
        return self._log.repeated

    @property
    def holes(self) -> int:
        """How often the server left events out, which it never should."""
        return self._log.holes

    def _begin(self) -> None:
        self._log.begin()

    def _request(self) -> messages_service_pb2.SubscribeRoomRequest:
        # At most one of the two is set; the server chooses when none is.
        return messages_service_pb2.SubscribeRoomRequest(
            room_id=self.room_id,
            after=self.position,
            last=self._log.last,
            include_cursors=self._include_cursors,
        )

    def _take(self, event: room_event_pb2.RoomEvent) -> AsyncGenerator[Item, None]:
        return self._log.take(event)
