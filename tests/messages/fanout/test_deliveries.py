"""Where entries are held that readers get late, and the spans of those whose sends are sampled."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from services.messages.fanout.deliveries import Deliveries, SpansOfOthers, packed
from services.messages.model import EventKind, LogEntry
from services.runtime.clock import SystemClock
from services.runtime.ids import RoomUid
from services.runtime.streaming.event_queue import EventQueue
from services.runtime.tracing.context import SpanContext
from tests.support.eventually import eventually
from tests.support.told_spans import ToldSpans

_ROOM = RoomUid(uuid4())
_SPAN = SpanContext("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", is_sampled=True)


def _entry(seconds_ago: float = 0.0) -> LogEntry:
    return LogEntry.created(7, datetime.now(UTC) - timedelta(seconds=seconds_ago), b"")


def _queue() -> EventQueue:
    queue = EventQueue(None, SystemClock())
    queue.open(0, [])
    return queue


async def test_a_late_entry_is_told_with_where_it_was_held() -> None:
    spans = ToldSpans()
    deliveries = Deliveries(spans, late_seconds=1.0)
    queue = _queue()
    with capture_logs() as logs:
        queue.push(6, b"early", live=deliveries.begin(_ROOM, "lobby", _entry(), 1, is_healed=False))
        await anext(queue.frames())
        queue.push(7, b"late", live=deliveries.begin(_ROOM, "lobby", _entry(5), 1, is_healed=True))
        await anext(queue.frames())
    (line,) = logs
    assert (line["event"], line["room"], line["seq"], line["is_healed"]) == ("delivery_late", "lobby", 7, True)
    assert 4.9 < line["stages"]["on its way"] <= line["seconds"]
    assert 0 <= line["stages"]["queue"] < 4
    (span,) = spans.told
    assert (span.name, span.kind) == ("deliver", "CONSUMER")
    assert span.stages == ["on its way", "queue"]
    assert span.attributes["messaging.message.id"] == "lobby/7"


async def test_the_span_of_an_edit_names_the_message_and_not_the_edit() -> None:
    spans = ToldSpans()
    deliveries = Deliveries(spans)
    edit = LogEntry.changed(9, datetime.now(UTC) - timedelta(seconds=5), b"", EventKind.EDITED, 7)
    deliveries.begin(_ROOM, "lobby", edit, 1, is_healed=False).taken(datetime.now(UTC))
    (span,) = spans.told
    assert span.attributes["messaging.message.id"] == "lobby/7"


async def test_of_very_many_late_ones_a_few_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.runtime.seldom.monotonic", lambda: 1000.0)
    deliveries = Deliveries()
    with capture_logs() as logs:
        for _ in range(100):
            deliveries.begin(_ROOM, "lobby", _entry(5), 1, is_healed=False).taken(datetime.now(UTC))
    assert len(logs) == 5
    assert sum(deliveries.ages.counts) == 100


async def test_the_delivery_of_a_sampled_send_is_a_part_of_its_trace_here_and_at_other_replicas() -> None:
    spans = ToldSpans()
    deliveries = Deliveries(spans)
    SpansOfOthers(deliveries).received(*packed(_ROOM, 7, _SPAN))
    queues = [_queue(), _queue()]
    live = deliveries.begin(_ROOM, "lobby", _entry(), len(queues), is_healed=False)
    frames = []
    for queue in queues:
        # It is not the oldest of its frame.
        queue.push(6, b"before", live=deliveries.begin(_ROOM, "lobby", _entry(), 2, is_healed=False))
        queue.push(7, b"event", live=live)
        frames.append(queue.frames())
        assert await anext(frames[-1]) == b"beforeevent"
    assert spans.told == []
    for queue, read in zip(queues, frames, strict=True):
        queue.push(8, b"next")
        await anext(read)
    (span,) = spans.told
    assert span.trace.parent == _SPAN
    assert span.stages == ["on its way", "queue", "queue", "write", "write"]
    assert (span.attributes["chatkit.streams"], span.attributes["chatkit.streams.written"]) == (2, 2)
    # It was expected once.
    deliveries.begin(_ROOM, "lobby", _entry(), 1, is_healed=False).written()
    assert len(spans.told) == 1


async def test_a_stream_that_writes_when_the_patience_is_over_goes_on_and_is_told_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("services.messages.fanout.deliveries._PATIENCE_SECONDS", 0.0)
    spans = ToldSpans()
    deliveries = Deliveries(spans)
    deliveries.expect(_ROOM, 7, _SPAN)
    live = deliveries.begin(_ROOM, "lobby", _entry(), 1, is_healed=False)
    live.taken(datetime.now(UTC))
    await eventually(lambda: spans.told)
    live.written()
    (span,) = spans.told
    assert (span.name, span.kind) == ("deliver", "CONSUMER")
    assert span.stages == ["on its way", "queue"]
    assert span.attributes["chatkit.streams.written"] == 0


async def test_what_nobody_follows_is_expected_in_vain_and_forgotten() -> None:
    spans = ToldSpans()
    deliveries = Deliveries(spans)
    deliveries.expect(_ROOM, 7, _SPAN)
    for seq in range(8, 8 + 256):
        deliveries.expect(_ROOM, seq, _SPAN)
    live = deliveries.begin(_ROOM, "lobby", _entry(), 1, is_healed=False)
    assert not live.is_watched


@pytest.mark.parametrize(
    ("key", "payload"), [(b"short", b""), (packed(_ROOM, 7, _SPAN)[0], b"short")], ids=["key", "payload"]
)
def test_what_is_no_announcement_of_a_span_is_refused(key: bytes, payload: bytes) -> None:
    with pytest.raises(ValueError, match="span"):
        SpansOfOthers(Deliveries(ToldSpans())).received(key, payload)
