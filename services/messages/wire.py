"""Frames as bytes: what was serialized once is joined, never decoded again.

The concatenation of serialized protobuf messages is their merge, so repeated fields can be put together from pieces.
"""

from datetime import datetime, timedelta

from chatkit.messages.v1 import (
    message_pb2,
    messages_service_pb2,
    part_pb2,
    position_pb2,
    room_event_pb2,
)
from google.protobuf import duration_pb2

from services.messages.model import LogEntry, Opening, Position, Snapshot
from services.runtime.errors import ChatkitError, number_of
from services.runtime.timestamps import timestamp

_LENGTH_DELIMITED = 2
_EVENTS = messages_service_pb2.SubscribeRoomResponse.EVENTS_FIELD_NUMBER
_CREATED = room_event_pb2.RoomEvent.MESSAGE_CREATED_FIELD_NUMBER

_REASONS = {
    Snapshot.NEW: room_event_pb2.SNAPSHOT_REASON_NEW,
    Snapshot.TOO_FAR: room_event_pb2.SNAPSHOT_REASON_TOO_FAR,
    Snapshot.EPOCH: room_event_pb2.SNAPSHOT_REASON_EPOCH,
    Snapshot.RETENTION: room_event_pb2.SNAPSHOT_REASON_RETENTION,
}

_LOW_BITS, _MORE = 0x7F, 0x80


def embedded(field: int, payload: bytes) -> bytes:
    """Return a field whose value is a serialized message."""
    return _varint(field << 3 | _LENGTH_DELIMITED) + _varint(len(payload)) + payload


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > _LOW_BITS:
        encoded.append(value & _LOW_BITS | _MORE)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def unplaced_message(room_id: str, sender_id: str, parts: list[part_pb2.Part]) -> bytes:
    """Serialize what is known of a message before it has a place in the log."""
    return message_pb2.Message(room_id=room_id, sender_id=sender_id, parts=parts).SerializeToString()


def placed_message(unplaced: bytes, seq: int, time: datetime) -> bytes:
    """Serialize the whole message."""
    return unplaced + message_pb2.Message(seq=seq, create_time=timestamp(time), revision=seq).SerializeToString()


def created_event(room_id: str, entry: LogEntry) -> bytes:
    """Serialize, as a frame, that a message was created."""
    event = room_event_pb2.RoomEvent(room_id=room_id, seq=entry.seq, time=timestamp(entry.time))
    return embedded(_EVENTS, event.SerializeToString() + embedded(_CREATED, entry.message))


def opened_event(room_id: str, now: datetime, opening: Opening) -> bytes:
    """Serialize, as a frame, how a stream starts."""
    resumed = opening.snapshot is None
    opened = room_event_pb2.Opened(
        position=_position(opening.position),
        oldest_seq=opening.oldest_seq,
        outcome=room_event_pb2.OUTCOME_RESUMED if resumed else room_event_pb2.OUTCOME_SNAPSHOT,
        reason=_REASONS[opening.snapshot] if opening.snapshot is not None else None,
        first_seq=opening.first_seq,
    )
    return _frame(room_event_pb2.RoomEvent(room_id=room_id, time=timestamp(now), opened=opened))


def caught_up_event(room_id: str, now: datetime, seq: int) -> bytes:
    """Serialize, as a frame, that the replay is complete."""
    caught_up = room_event_pb2.CaughtUp(seq=seq)
    return _frame(room_event_pb2.RoomEvent(room_id=room_id, time=timestamp(now), caught_up=caught_up))


def heartbeat_event(room_id: str, now: datetime, head_seq: int) -> bytes:
    """Serialize, as a frame, a sign of life."""
    heartbeat = room_event_pb2.Heartbeat(head_seq=head_seq)
    return _frame(room_event_pb2.RoomEvent(room_id=room_id, time=timestamp(now), heartbeat=heartbeat))


def closed_event(room_id: str, now: datetime, error: ChatkitError, position: Position) -> bytes:
    """Serialize, as a frame, why a stream ends."""
    closed = room_event_pb2.Closed(
        code=error.code.value[0],
        reason=number_of(error.reason),
        position=_position(position),
        retry_after=_duration(error.retry_after),
    )
    return _frame(room_event_pb2.RoomEvent(room_id=room_id, time=timestamp(now), closed=closed))


def _frame(event: room_event_pb2.RoomEvent) -> bytes:
    return embedded(_EVENTS, event.SerializeToString())


def _position(position: Position) -> position_pb2.Position:
    return position_pb2.Position(epoch=position.epoch, seq=position.seq)


def _duration(value: timedelta | None) -> duration_pb2.Duration | None:
    if value is None:
        return None
    duration = duration_pb2.Duration()
    duration.FromTimedelta(value)
    return duration


def message_response(message: bytes) -> bytes:
    """Serialize SendMessageResponse or GetMessageResponse, which hold a message as their first field."""
    return embedded(1, message)


def page_response(messages: list[bytes], next_page_token: str) -> bytes:
    """Serialize ListMessagesResponse."""
    tail = messages_service_pb2.ListMessagesResponse(next_page_token=next_page_token).SerializeToString()
    field = messages_service_pb2.ListMessagesResponse.MESSAGES_FIELD_NUMBER
    return b"".join([*(embedded(field, message) for message in messages), tail])
