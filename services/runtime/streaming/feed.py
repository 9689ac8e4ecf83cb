"""A feed: one stream between two services that carries what many followers are told, each named by a number.

All that its followers are told goes through one queue, and a follower has no more than a part of it: no task, and no
queue of its own. A reader who stops ends the feed, and with it every follower. The responses of all feeds have the same
fields under the same numbers.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta

from chatkit.contract.v1 import error_reason_pb2
from chatkit.internal.feeds.v1 import feed_pb2
from chatkit.internal.feeds.v1 import presence_feed_service_pb2 as pb2

from services.runtime.clock import Clock
from services.runtime.contract.errors import ChatkitError, ResourceExhausted, class_of_code, number_of
from services.runtime.contract.timestamps import duration
from services.runtime.contract.wire import counted, embedded
from services.runtime.streaming.event_queue import FRAME_BYTES, EventQueue, Source
from services.runtime.streaming.live_event import LiveEvent

_MOST_WAITING_BYTES = 16 * 1024 * 1024
_FRAME = pb2.FollowPresenceResponse.EVENTS_FIELD_NUMBER
_NUMBER = pb2.PresenceFeedEvent.NUMBER_FIELD_NUMBER
_EVENTS = pb2.PresenceFeedEvent.EVENTS_FIELD_NUMBER
_REFUSED = pb2.PresenceFeedEvent.REFUSED_FIELD_NUMBER
_HEARTBEAT = pb2.PresenceFeedEvent.HEARTBEAT_FIELD_NUMBER


class Feed:
    """The queue of a feed.

    `refused` is told the number of a follower who has ended, once the follower is told why.
    """

    def __init__(self, clock: Clock, refused: Callable[[int], None]) -> None:
        self.refused = refused
        # Those whose events are kept back.
        self.holding: set[FollowerQueue] = set()
        self.queue = EventQueue(None, clock, makes_room=self._refuse_most_held, most_waiting_bytes=_MOST_WAITING_BYTES)
        self.queue.open(0, ())
        # Until when everything was sent, as a heartbeat has said.
        self._opened_at = self._told_at = clock.monotonic()

    def send(self, number: int, fields: bytes, source: Source | None = None, live: LiveEvent | None = None) -> None:
        """Queue an event of a follower, given by its serialized fields other than the number; 0 is for all of them."""
        self.queue.push(0, _frame(number, fields), source, live)

    def beat(self, known_at: float, more: bytes = b"") -> None:
        """Say that everything until a moment, by the monotonic clock, was sent; nothing where that is no news.

        `more` are further serialized fields of the event.
        """
        if known_at > self._told_at:
            self._told_at = known_at
            heartbeat = feed_pb2.FeedHeartbeat(elapsed_ms=int((known_at - self._opened_at) * 1000))
            self.send(0, embedded(_HEARTBEAT, heartbeat.SerializeToString()) + more)

    def _refuse_most_held(self) -> bool:
        """Refuse the follower of whom most is kept back: that is not the reader's fault. False where nothing is."""
        most_held = max(self.holding, key=lambda follower: follower.held_bytes, default=None)
        if most_held is None or not most_held.held_bytes:
            return False
        most_held.cut(_too_much_held())
        return True


class FollowerQueue:
    """A follower's part of a feed: does for whoever makes events what an EventQueue does, with the queue of all.

    Events are frames of the stream that the follower would have alone.
    """

    __slots__ = ("_feed", "_has_gone", "_held", "_refusal", "error", "held_bytes", "is_open", "number")

    def __init__(self, feed: Feed, number: int) -> None:
        self.number = number
        # False until the beginning is queued: nothing is admitted before it.
        self.is_open = False
        # Why the follower has ended, and the frame that says so, until that is sent.
        self.error: ChatkitError | None = None
        self._refusal: bytes | None = None
        self._feed = feed
        # Whether what waits is not sent any more.
        self._has_gone = False
        # What is kept back; None as long as nothing is to be.
        self._held: list[tuple[int, bytes]] | None = None
        self.held_bytes = 0

    @property
    def is_over(self) -> bool:
        """Whether nothing is queued any more."""
        return self._has_gone or self.error is not None

    def open(self, _sent_seq: int, beginning: Iterable[tuple[int, bytes]]) -> None:
        """Queue how it starts, and admit what follows."""
        if not self.is_over:
            self.is_open = True
            self.begin(event for _, event in beginning)

    def begin(self, events: Iterable[bytes]) -> None:
        """Queue a state, whatever its size: see `EventQueue.begin`."""
        if self.is_open and not self.is_over:
            frames = ((0, _frame(self.number, embedded(_EVENTS, some))) for some in _joined(events))
            self._feed.queue.begin(frames, self)

    def push(self, _seq: int, event: bytes, more: bytes = b"", live: LiveEvent | None = None) -> None:
        """Queue an event; `more` are further serialized fields of the feed's event."""
        self.send(embedded(_EVENTS, event) + more, live)

    def send(self, fields: bytes, live: LiveEvent | None = None) -> None:
        """Queue what is told about the follower, given by the serialized fields of the feed's event."""
        if self.is_open and not self.is_over:
            self._feed.send(self.number, fields, self, live)

    def take(self, seq: int, event: bytes) -> bool:
        """Let an event go that is about to be sent, keep it back, or drop it."""
        if event is self._refusal:
            self._refusal = None
            return True
        if self._has_gone:
            return False
        if self._held is None:
            return True
        self._held.append((seq, event))
        self.held_bytes += len(event)
        self._feed.queue.hold(len(event))
        return False

    def hold(self) -> None:
        """Keep back what waits and what comes, until `release`."""
        if self.error is not None:
            self.cut(self.error)
        elif self._held is None and not self._has_gone:
            self._held = []
            self._feed.holding.add(self)

    def release(self) -> None:
        """Send what was kept back."""
        self._feed.queue.release(self._let_go(), self)

    def end(self, error: ChatkitError) -> None:
        """Refuse the follower: what waits is sent before, unless it is kept back; the first ending counts."""
        if self._held is not None:
            self.cut(error)
        elif not self.is_over:
            self.error = error
            self._refusal = self._refused(error)
            self._feed.queue.push(0, self._refusal, self)
            self._feed.refused(self.number)

    def cut(self, error: ChatkitError) -> None:
        """Refuse the follower; what waits is not sent any more.

        The refusal overtakes what waits for all: this one is no longer told what that stands behind.
        """
        self._let_go()
        self.end(error)
        if self._refusal is not None and self.error is not None:
            self._refusal = self._refused(self.error)
            self._feed.queue.release([(0, self._refusal)], self)
        self._has_gone = True

    def leave(self) -> None:
        """Drop what waits, and take nothing more, because the follower does not want it."""
        self._let_go()
        self._has_gone = True

    def _refused(self, error: ChatkitError) -> bytes:
        return _frame(self.number, embedded(_REFUSED, refusal(error).SerializeToString()))

    def _let_go(self) -> list[tuple[int, bytes]]:
        held, self._held = self._held or [], None
        self._feed.holding.discard(self)
        self._feed.queue.drop(self.held_bytes)
        self.held_bytes = 0
        return held


def refusal(error: ChatkitError) -> feed_pb2.FeedRefusal:
    """Return how a feed tells an error."""
    return feed_pb2.FeedRefusal(
        code=error.code.value[0],
        reason=number_of(error.reason),
        message=error.message,
        metadata=error.metadata,
        retry_after=duration(error.retry_after),
    )


def error_of(refusal: feed_pb2.FeedRefusal) -> ChatkitError:
    """Return the error that a feed tells."""
    return class_of_code(refusal.code)(
        error_reason_pb2.ErrorReason.Name(refusal.reason),
        refusal.message,
        metadata=refusal.metadata,
        retry_after=refusal.retry_after.ToTimedelta() if refusal.HasField("retry_after") else None,
    )


def _frame(number: int, fields: bytes) -> bytes:
    return embedded(_FRAME, counted(_NUMBER, number) + fields)


def _joined(events: Iterable[bytes]) -> Iterator[bytes]:
    """Put together what goes in one event of the feed."""
    waiting: list[bytes] = []
    size = 0
    for event in events:
        if waiting and size + len(event) > FRAME_BYTES:
            yield b"".join(waiting)
            waiting, size = [], 0
        waiting.append(event)
        size += len(event)
    if waiting:
        yield b"".join(waiting)


def _too_much_held() -> ChatkitError:
    message = "too much has changed while nobody could say whether it may be told"
    return ResourceExhausted("SLOW_CONSUMER", message, retry_after=timedelta(seconds=1))
