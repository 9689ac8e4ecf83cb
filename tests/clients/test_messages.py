"""Messages put together from copies in any order."""

from google.protobuf import timestamp_pb2
from hypothesis import given
from hypothesis import strategies as st

from chatkit_client import Messages
from chatkit_client.proto.messages.v1 import message_pb2, room_event_pb2

_DELETED = timestamp_pb2.Timestamp(seconds=1)


def _copy(seq: int, revision: int, *, is_deleted: bool = False) -> message_pb2.Message:
    return message_pb2.Message(seq=seq, revision=revision, delete_time=_DELETED if is_deleted else None)


@given(st.permutations([_copy(1, 1), _copy(1, 4), _copy(2, 2), _copy(2, 5), _copy(2, 6, is_deleted=True), _copy(3, 3)]))
def test_the_copy_with_the_highest_revision_counts_in_whatever_order_they_come(
    copies: list[message_pb2.Message],
) -> None:
    messages = Messages()
    for copy in copies:
        messages.put(copy)
    assert list(messages) == [_copy(1, 4), _copy(3, 3)]


def test_events_of_every_kind_are_taken_and_what_is_gone_is_not_there() -> None:
    messages = Messages()
    for event in (
        room_event_pb2.RoomEvent(message_created=_copy(1, 1)),
        room_event_pb2.RoomEvent(message_created=_copy(2, 2)),
        room_event_pb2.RoomEvent(message_created=_copy(3, 3)),
        room_event_pb2.RoomEvent(message_edited=_copy(3, 4)),
        room_event_pb2.RoomEvent(message_deleted=_copy(2, 5, is_deleted=True)),
        room_event_pb2.RoomEvent(message_created=_copy(6, 6)),
        room_event_pb2.RoomEvent(message_gone=room_event_pb2.MessageGone(seq=6)),
        room_event_pb2.RoomEvent(heartbeat=room_event_pb2.Heartbeat(head_seq=6)),
    ):
        messages.see(event)
    assert list(messages) == [_copy(1, 1), _copy(3, 4)]
    messages.see(room_event_pb2.RoomEvent(opened=room_event_pb2.Opened(oldest_seq=3)))
    assert list(messages) == [_copy(3, 4)]
    messages.clear()
    assert list(messages) == []
