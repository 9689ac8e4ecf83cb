"""A room's events without end: resumed from our own position after every ending that is not final.

Every seq of the log is yielded once and in order, or lies in a Gap that is yielded in its place, however often the
connection was lost.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import grpc
from chatkit.messages.v1 import messages_service_pb2, position_pb2, room_event_pb2

from clients.python.errors import ChatkitError, from_closed
from clients.python.retry import Backoff, Clock
from clients.python.stream import Stream
from clients.python.tokens import Tokens

_RESUMABLE = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
}
# Snapshots that begin anew: what is not in them was not missed.
_ANEW = {room_event_pb2.SNAPSHOT_REASON_NEW, room_event_pb2.SNAPSHOT_REASON_EPOCH}


@dataclass(frozen=True, slots=True)
class Gap:
    """Events that are not to be had: those after the position `after` and before the position `before`.

    `reason` is TOO_FAR or HOLE when the log had more than its pages show, RETENTION when the events are gone, and EPOCH
    when `before` is of another log: read the room anew then, for what was read before may not be in it.
    """

    reason: str
    after: position_pb2.Position
    before: position_pb2.Position


Item = room_event_pb2.RoomEvent | Gap


class Subscription:
    """An async iterator of a room's events; use it as a context manager to close its stream when you stop reading.

    Yields `opened` and `caught_up` of every stream, the events of the log, events outside the log as they come (their
    seq is 0: `typing`, and with `include_cursors` `cursor_set`, which every stream starts with anew), and a Gap for
    what is not to be had. Raises ChatkitError when an ending is final: REMOVED_FROM_ROOM, ROOM_DELETED,
    ROOM_ACCESS_DENIED, and TOKEN_EXPIRED unless tokens are fetched by a function.
    """

    def __init__(
        self,
        room_id: str,
        start: position_pb2.Position | int | None,
        *,
        include_cursors: bool = False,
        stream: Callable[..., Any],
        log: Callable[[str, position_pb2.Position, int], AsyncGenerator[room_event_pb2.RoomEvent, None]],
        tokens: Tokens,
        clock: Clock,
    ) -> None:
        self.room_id = room_id
        # After the last event that was processed, which it is when the next one is asked for. None before `opened`.
        self.position = start if isinstance(start, position_pb2.Position) else None
        # How often a stream was opened, and what a server should never do: send an event again, leave one out.
        self.streams, self.repeated, self.holes = 0, 0, 0
        self._last = start if isinstance(start, int) else None
        self._include_cursors = include_cursors
        self._stream = stream
        self._log = log
        self._tokens = tokens
        self._clock = clock
        # The snapshot that is being replayed, if one is.
        self._snapshot: room_event_pb2.Opened | None = None
        self._hole_after = -1
        self._items = self._follow()

    def __aiter__(self) -> AsyncIterator[Item]:
        return self._items

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._items.aclose()

    async def _follow(self) -> AsyncGenerator[Item, None]:
        backoff = Backoff()
        while True:
            try:
                async with aclosing(self._follow_once()) as items:
                    async for item in items:
                        yield item
                        backoff.succeeded()
            except ChatkitError as ending:
                if not await self._may_resume(ending):
                    raise
                await self._clock.sleep(backoff.next_delay(ending.retry_after))

    async def _may_resume(self, ending: ChatkitError) -> bool:
        if ending.reason == "TOKEN_EXPIRED" and self._tokens.can_renew:
            await self._tokens.renewed(await self._tokens.current())
            return True
        return ending.code in _RESUMABLE

    async def _follow_once(self) -> AsyncGenerator[Item, None]:
        token = await self._tokens.current()
        call = self._stream(self._request(), metadata=(("authorization", f"Bearer {token}"),))
        self.streams += 1
        self._snapshot = None
        async with aclosing(Stream(call, self._clock).events()) as events:
            async for event in events:
                async for item in self._before(event):
                    yield item
                if self._is_shown(event):
                    yield event
                    self._move(event.seq)
        raise ChatkitError(grpc.StatusCode.UNAVAILABLE, "", "the stream ended without a reason")

    def _request(self) -> messages_service_pb2.SubscribeRoomRequest:
        # At most one of the two is set; the server chooses when none is.
        return messages_service_pb2.SubscribeRoomRequest(
            room_id=self.room_id,
            after=self.position,
            last=self._last if self.position is None else None,
            include_cursors=self._include_cursors,
        )

    async def _before(self, event: room_event_pb2.RoomEvent) -> AsyncGenerator[Item, None]:
        """Yield what the caller must get before the event: all that the log has up to there and that has not come."""
        match event.WhichOneof("event"):
            case "closed":
                raise from_closed(event.closed)
            case "opened":
                items = self._opening(event.opened)
            case "caught_up":
                items = self._advance(event.caught_up.seq)
            case "heartbeat":
                items = self._advance(event.heartbeat.head_seq)
            case _:
                items = self._advance(event.seq - 1)
        async for item in items:
            yield item

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
        if self.position is not None and opened.reason not in _ANEW:
            if opened.oldest_seq > self._seq + 1:
                yield self._gap("RETENTION", opened.oldest_seq)
                self._move(opened.oldest_seq - 1)
            async for item in self._fill(opened.position.seq + 1, "TOO_FAR"):
                yield item
            return
        first_seq = opened.first_seq or opened.position.seq + 1
        first = position_pb2.Position(epoch=opened.position.epoch, seq=first_seq)
        if self.position is not None:
            yield Gap("EPOCH", self.position, first)
        self.position = position_pb2.Position(epoch=first.epoch, seq=first_seq - 1)

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
        async for event in self._log(self.room_id, self.position or position_pb2.Position(), before_seq):
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
        return Gap(reason, after, position_pb2.Position(epoch=after.epoch, seq=before_seq))

    def _move(self, seq: int) -> None:
        if self.position is not None and seq > self._seq:
            self.position = position_pb2.Position(epoch=self.position.epoch, seq=seq)
