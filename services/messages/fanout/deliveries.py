"""What becomes of entries of the log on their way to readers: how old they get, and where those that are late were.

Of an entry whose send is sampled each process that delivers it makes a span within the send's trace. The trace is told
over the bus before the entry, on a subject of its own, and only of those few.
"""

import asyncio
import struct
from collections import OrderedDict
from datetime import datetime
from time import monotonic
from uuid import UUID

import structlog

from services.messages.model import LogEntry
from services.runtime.ids import RoomUid
from services.runtime.metrics.distribution import SECONDS, Distribution
from services.runtime.seldom import Seldom
from services.runtime.streaming.live_event import LiveEvent
from services.runtime.tracing.context import SpanContext, unpacked
from services.runtime.tracing.spans import Spans
from services.runtime.tracing.trace import Stage, Trace

_log = structlog.get_logger()
# Entries that nobody follows here are expected in vain.
_MOST_EXPECTED = 256
_MOST_LINES_A_SECOND = 5
# A stream may be cut before it has written, or read nothing: what is known by then is told.
_PATIENCE_SECONDS = 30.0
_KEY = struct.Struct(">16sQ")
_ON_ITS_WAY, _QUEUE, _WRITE = "on its way", "queue", "write"


class Deliveries:
    """The deliveries of a process."""

    def __init__(self, spans: Spans | None = None, late_seconds: float = 1.0) -> None:
        self.ages = Distribution(SECONDS)
        self.late_seconds = late_seconds
        self._spans = spans
        self._lines = Seldom(_MOST_LINES_A_SECOND)
        self._expected: OrderedDict[tuple[RoomUid, int], SpanContext] = OrderedDict()

    @property
    def makes_spans(self) -> bool:
        """Whether anybody takes spans."""
        return self._spans is not None

    def expect(self, room_uid: RoomUid, seq: int, span: SpanContext) -> None:
        """Hear of the span of an entry's send, before the entry is there."""
        if self._spans is not None:
            self._expected[room_uid, seq] = span
            if len(self._expected) > _MOST_EXPECTED:
                self._expected.popitem(last=False)

    def begin(self, room_uid: RoomUid, room_id: str, entry: LogEntry, streams: int, *, is_healed: bool) -> LiveEvent:
        """Return what follows an entry that is about to be handed to so many streams."""
        if self._expected and streams and (span := self._expected.pop((room_uid, entry.seq), None)) is not None:
            return _WatchedEntry(self, room_id, entry, span, streams, is_healed=is_healed)
        return _LiveEntry(self, room_id, entry, is_healed=is_healed)

    def tell_late(self, live: "_LiveEntry", seconds: float) -> None:
        """Write a line about an entry that a stream has taken late, if there were not too many of them."""
        unsaid = self._lines.take()
        if unsaid is None:
            return
        queue = monotonic() - live.accepted
        _log.warning(
            "delivery_late",
            room=live.room_id,
            seq=live.seq,
            seconds=round(seconds, 6),
            stages={_ON_ITS_WAY: round(max(0.0, seconds - queue), 6), _QUEUE: round(queue, 6)},
            # Whether it was read from the database, because the bus had not brought it.
            is_healed=live.is_healed,
            trace_id=live.trace_id,
            unsaid=unsaid,
        )
        if self._spans is not None and not live.is_watched:
            began = monotonic() - seconds
            trace = Trace()
            trace.began = began
            trace.put(Stage(_ON_ITS_WAY, began, live.accepted))
            trace.put(Stage(_QUEUE, live.accepted, monotonic()))
            self.make_span(live, trace, {})

    def make_span(self, live: "_LiveEntry", trace: Trace, more: dict[str, object]) -> None:
        """Make the span of an entry's delivery by this process."""
        if self._spans is not None:
            attributes = {
                "messaging.system": "chatkit",
                "messaging.operation.type": "process",
                "messaging.message.id": f"{live.room_id}/{live.message_seq}",
                "chatkit.room_id": live.room_id,
                "chatkit.delivery.is_healed": live.is_healed,
                **more,
            }
            self._spans.tell("deliver", "CONSUMER", trace, monotonic() - trace.began, attributes)


class _LiveEntry(LiveEvent):
    """An entry on its way through this process."""

    __slots__ = ("_deliveries", "accepted", "is_healed", "message_seq", "room_id", "seq")

    trace_id = ""

    def __init__(self, deliveries: Deliveries, room_id: str, entry: LogEntry, *, is_healed: bool) -> None:
        super().__init__(entry.time, deliveries.ages, deliveries.late_seconds)
        self._deliveries = deliveries
        self.accepted = monotonic()
        self.room_id = room_id
        self.seq = entry.seq
        self.message_seq = entry.message_seq
        self.is_healed = is_healed

    def was_late(self, seconds: float) -> None:
        """Tell where it was held."""
        self._deliveries.tell_late(self, seconds)


class _WatchedEntry(_LiveEntry):
    """One whose send is sampled: its span ends when all streams have written it."""

    __slots__ = ("_streams", "_taken_at", "_timer", "_trace", "_written", "trace_id")

    is_watched = True

    def __init__(
        self, deliveries: Deliveries, room_id: str, entry: LogEntry, span: SpanContext, streams: int, *, is_healed: bool
    ) -> None:
        super().__init__(deliveries, room_id, entry, is_healed=is_healed)
        self._trace = Trace(span.traceparent)
        age = (datetime.now(entry.time.tzinfo) - entry.time).total_seconds()
        self._trace.began = self.accepted - max(0.0, age)
        self._trace.put(Stage(_ON_ITS_WAY, self._trace.began, self.accepted))
        self.trace_id = span.trace_id
        self._streams = streams
        self._written = 0
        # When a stream took it last.
        self._taken_at = self.accepted
        self._timer = asyncio.get_running_loop().call_later(_PATIENCE_SECONDS, self._end)

    def taken(self, now: datetime) -> None:
        """Hear that a stream takes it."""
        self._taken_at = monotonic()
        self._trace.put(Stage(_QUEUE, self.accepted, self._taken_at))
        super().taken(now)

    def written(self) -> None:
        """Hear that a stream has written it; what comes when the patience is over is told nobody."""
        self._written += 1
        self._trace.put(Stage(_WRITE, self._taken_at, monotonic()))
        if self._written == self._streams and not self._trace.is_over:
            self._timer.cancel()
            self._end()

    def _end(self) -> None:
        counts: dict[str, object] = {"chatkit.streams": self._streams, "chatkit.streams.written": self._written}
        self._deliveries.make_span(self, self._trace, counts)
        self._trace.close()


def packed(room_uid: RoomUid, seq: int, span: SpanContext) -> tuple[bytes, bytes]:
    """Return as key and payload of an announcement that the send of an entry has a span."""
    return _KEY.pack(room_uid.bytes, seq), span.pack()


class SpansOfOthers:
    """Hears of the spans of other replicas' sends."""

    def __init__(self, deliveries: Deliveries) -> None:
        self._deliveries = deliveries

    def received(self, key: bytes, payload: bytes) -> None:
        """Expect the entry of a span. Raises a ValueError for what is none."""
        if len(key) != _KEY.size:
            raise ValueError("the key is not one of a span")
        room_uid, seq = _KEY.unpack(key)
        self._deliveries.expect(RoomUid(UUID(bytes=room_uid)), seq, unpacked(payload))

    def missed(self) -> None:
        """Do nothing: a span that is missed is one that is not made."""
