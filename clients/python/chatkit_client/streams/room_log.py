"""The log of one room as a client has processed it: each seq once and in order, or in a Gap.

What a stream sends is held against it; what the stream does not replay is read from the pages of the log.
"""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

import grpc

from chatkit_client.errors import ChatkitError
from chatkit_client.proto.messages.v1 import position_pb2, room_event_pb2


@dataclass(frozen=True, slots=True)
class Gap:
    """Events of a room that are not to be had: those after the position `after` and before the position `before`.

    `reason` is TOO_FAR or HOLE when the log had more than its pages show, RETENTION when the events are gone, and EPOCH
    when `before` is of another log: read the room anew then, for what was read before may not be in it.
    """

    reason: str
    after: position_pb2.Position
    before: position_pb2.Position
    room_id: str


Item = room_event_pb2.RoomEvent | Gap
# After a position, with the last so many messages, or as the server chooses.
Start = position_pb2.Position | int | None
Pages = Callable[[str, position_pb2.Position, int], AsyncGenerator[room_event_pb2.RoomEvent, None]]


class RoomLog:
    """How far a room was processed, and what must come before the next event."""

    def __init__(self, room_id: str, start: Start, pages: Pages) -> None:
        self.room_id = room_id
        # After the last event that was processed, which it is when the next one is asked for. None before `opened`.
        self.position = start if isinstance(start, position_pb2.Position) else None
        self._last = start if isinstance(start, int) else None
        # What a server should never do: send an event again, leave one out.
        self.repeated, self.holes = 0, 0
        self._pages = pages
        # The snapshot that is being replayed, if one is.
        self._snapshot: room_event_pb2.Opened | None = None
        self._hole_after = -1

    @property
    def last(self) -> int | None:
        """How many messages the next stream starts with, as long as there is no position; None: the server chooses."""
        return self._last if self.position is None else None

    def begin(self) -> None:
        """Go on with another stream."""
        self._snapshot = None

    async def take(self, event: room_event_pb2.RoomEvent) -> AsyncGenerator[Item, None]:
        """Yield what the event brings: all that the log has before it and that has not come, and mostly itself.

        Raises ChatkitError, and then the stream must be resumed, when the server has left out what it owes.
        """
        async for item in self._before(event):
            yield item
        if self._is_shown(event):
            yield event
            self._move(event.seq)

    def _before(self, event: room_event_pb2.RoomEvent) -> AsyncGenerator[Item, None]:
        match event.WhichOneof("event"):
            case "opened":
                return self._opening(event.opened)
            case "caught_up":
                return self._advance(event.caught_up.seq)
            case "heartbeat":
                return self._advance(event.heartbeat.head_seq)
        return self._advance(event.seq - 1)

    def _is_shown(self, event: room_event_pb2.RoomEvent) -> bool:
        match event.WhichOneof("event"):
            case "heartbeat":
                return False
            case "caught_up":
                self._snapshot = None
        is_repeated = 0 < event.seq <= self._seq
        # The last messages of a snapshot were read before it, as part of the log.
        self.repeated += is_repeated and self._snapshot is None
        return not is_repeated

    async def _opening(self, opened: room_event_pb2.Opened) -> AsyncGenerator[Item, None]:
        """Go to where the replay begins; what was missed is read from the log instead, for a snapshot has gaps."""
        if opened.outcome != room_event_pb2.OUTCOME_SNAPSHOT:
            return
        self._snapshot = opened
        if self._is_continued_by(opened):
            if opened.oldest_seq > self._seq + 1:
                yield self._gap("RETENTION", opened.oldest_seq)
                self._move(opened.oldest_seq - 1)
            async for item in self._fill(opened.position.seq + 1, "TOO_FAR"):
                yield item
            return
        # It begins anew: what is not in it was not missed.
        first_seq = opened.first_seq or opened.position.seq + 1
        first = position_pb2.Position(epoch=opened.position.epoch, seq=first_seq)
        if self.position is not None:
            yield Gap("EPOCH", self.position, first, self.room_id)
        self.position = position_pb2.Position(epoch=first.epoch, seq=first_seq - 1)

    def _is_continued_by(self, opened: room_event_pb2.Opened) -> bool:
        """Tell whether the snapshot is of the log as we know it, also when nobody has asked to resume (NEW)."""
        if self.position is None or opened.reason == room_event_pb2.SNAPSHOT_REASON_EPOCH:
            return False
        is_new = opened.reason == room_event_pb2.SNAPSHOT_REASON_NEW
        return not is_new or (opened.position.epoch == self.position.epoch and opened.position.seq >= self._seq)

    async def _advance(self, seq: int) -> AsyncGenerator[Item, None]:
        """Go to `seq` in the log, which a stream does by itself but for the holes of a snapshot."""
        if seq <= self._seq:
            return
        if self._snapshot is not None:
            self._move(seq)
        elif self._hole_after != self._seq:
            # The server owes us these events: ask it once more, and only then the pages.
            self.holes += 1
            self._hole_after = self._seq
            raise ChatkitError(grpc.StatusCode.UNAVAILABLE, "", f"the events {self._seq + 1} to {seq} did not come")
        else:
            async for item in self._fill(seq + 1, "HOLE"):
                yield item

    async def _fill(self, before_seq: int, reason: str) -> AsyncGenerator[Item, None]:
        """Read the events before `before_seq` from pages of the log, with a Gap for what these do not show."""
        async for event in self._pages(self.room_id, self.position or position_pb2.Position(), before_seq):
            if event.seq > self._seq + 1:
                yield self._gap(reason, event.seq)
                self._move(event.seq - 1)
            yield event
            self._move(event.seq)
        if self._seq + 1 < before_seq:
            yield self._gap(reason, before_seq)
            self._move(before_seq - 1)

    @property
    def _seq(self) -> int:
        return self.position.seq if self.position is not None else 0

    def _gap(self, reason: str, before_seq: int) -> Gap:
        after = self.position or position_pb2.Position()
        return Gap(reason, after, position_pb2.Position(epoch=after.epoch, seq=before_seq), self.room_id)

    def _move(self, seq: int) -> None:
        if self.position is not None and seq > self._seq:
            self.position = position_pb2.Position(epoch=self.position.epoch, seq=seq)
