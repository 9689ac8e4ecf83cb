"""What the generator counts: every delivery once, and what is missing, doubled or out of order as that."""

import pytest
from chatkit.messages.v1 import messages_service_pb2, position_pb2, room_event_pb2

from benchmarks.load.room import Member, RoomLog, Subscriber
from benchmarks.load.timing import Window, milliseconds, percentile

_Event = room_event_pb2.RoomEvent


def _frame(*events: _Event) -> bytes:
    return messages_service_pb2.SubscribeRoomResponse(events=events).SerializeToString()


def _messages(*seqs: int) -> bytes:
    return _frame(*(_Event(room_id="lobby", seq=seq) for seq in seqs))


def _subscribed(count: int = 1, head: int = 10) -> tuple[RoomLog, list[Subscriber]]:
    log = RoomLog("lobby", Window({}))
    subscribers = [Subscriber(log, Member("127.0.0.1:1", "token")) for _ in range(count)]
    opened = room_event_pb2.Opened(position=position_pb2.Position(epoch="e", seq=head), outcome="OUTCOME_SNAPSHOT")
    caught_up = room_event_pb2.CaughtUp(seq=head)
    for subscriber in subscribers:
        subscriber.message(_frame(_Event(opened=opened), _Event(caught_up=caught_up)))
    return log, subscribers


def test_what_is_there_once_and_in_order_is_delivered_and_nothing_else() -> None:
    log, (first, second) = _subscribed(2)
    log.acknowledge(11, 0.0)
    log.acknowledge(12, 0.0)
    for subscriber in (first, second):
        subscriber.message(_messages(11, 12))
        subscriber.message(_frame(_Event(heartbeat=room_event_pb2.Heartbeat(head_seq=12))))
    assert (log.delivered, log.lost, log.doubled, log.is_complete) == (4, 0, 0, True)


@pytest.mark.parametrize(
    ("frames", "lost", "doubled"),
    [
        ([(11, 13)], 1, 0),
        ([(11,), (13,)], 1, 0),
        ([(11,), (11, 12, 13)], 0, 1),
        ([(11, 12)], 1, 0),
        ([], 3, 0),
    ],
)
def test_holes_repetitions_and_what_never_came_are_counted(
    frames: list[tuple[int, ...]], lost: int, doubled: int
) -> None:
    log, (subscriber,) = _subscribed()
    for seq in (11, 12, 13):
        log.acknowledge(seq, 0.0)
    for seqs in frames:
        subscriber.message(_messages(*seqs))
    assert (log.lost, log.doubled) == (lost, doubled)


def test_a_send_is_everywhere_when_its_last_subscriber_has_it() -> None:
    log, (first, second) = _subscribed(2)
    log.acknowledge(11, 1.0)
    first.message(_messages(11))
    assert log.last_deliveries(0.0, 2.0) == []
    second.message(_messages(11))
    (duration,) = log.last_deliveries(0.0, 2.0)
    assert duration > 0


def test_percentiles_are_of_what_was_measured() -> None:
    assert percentile([], 0.5) == 0.0
    assert milliseconds([0.003, 0.001, 0.002]) == {"p50_ms": 2.0, "p99_ms": 3.0, "max_ms": 3.0}
