"""Frames as bytes: what was serialized once is joined, never decoded again.

The concatenation of serialized protobuf messages is their merge, so repeated fields can be put together from pieces.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache

from chatkit.messages.v1 import (
    message_pb2,
    messages_service_pb2,
    part_pb2,
    position_pb2,
    room_event_pb2,
    send_result_pb2,
)

from services.messages.model import EventKind, LogEntry, Position, RoomOpening, SnapshotReason
from services.runtime.calls.spelling import JsonNames
from services.runtime.contract.errors import ChatkitError, number_of
from services.runtime.contract.timestamps import duration, timestamp
from services.runtime.contract.wire import embedded
from services.runtime.ids import RoomId, UserId

_EVENTS = messages_service_pb2.SubscribeRoomResponse.EVENTS_FIELD_NUMBER
_PARTS = message_pb2.Message.PARTS_FIELD_NUMBER
_REQUEST_ID = message_pb2.Message.REQUEST_ID_FIELD_NUMBER
_CUSTOM_DATA = message_pb2.Message.CUSTOM_DATA_FIELD_NUMBER
_GONE = room_event_pb2.RoomEvent.MESSAGE_GONE_FIELD_NUMBER
_FIELDS = {
    EventKind.UNKNOWN: room_event_pb2.RoomEvent.MESSAGE_CHANGED_FIELD_NUMBER,
    EventKind.CREATED: room_event_pb2.RoomEvent.MESSAGE_CREATED_FIELD_NUMBER,
    EventKind.EDITED: room_event_pb2.RoomEvent.MESSAGE_EDITED_FIELD_NUMBER,
    EventKind.DELETED: room_event_pb2.RoomEvent.MESSAGE_DELETED_FIELD_NUMBER,
}

_REASONS = {
    SnapshotReason.NEW: room_event_pb2.SNAPSHOT_REASON_NEW,
    SnapshotReason.TOO_FAR: room_event_pb2.SNAPSHOT_REASON_TOO_FAR,
    SnapshotReason.EPOCH: room_event_pb2.SNAPSHOT_REASON_EPOCH,
    SnapshotReason.RETENTION: room_event_pb2.SNAPSHOT_REASON_RETENTION,
}

# What is appended together has one time, and making a Timestamp costs more than the rest of a message.
_timestamp = lru_cache(maxsize=16)(timestamp)


def serialized_parts(parts: Iterable[part_pb2.Part]) -> list[bytes]:
    """Serialize each part, equal ones to equal bytes."""
    return [part.SerializeToString(deterministic=True) for part in parts]


def unplaced_message(
    room_id: RoomId,
    sender_id: UserId,
    parts: Sequence[bytes],
    custom_data: bytes | None = None,
    edit_time: datetime | None = None,
) -> bytes:
    """Serialize what is known of a message before it has a place in the log, from what is serialized of it."""
    message = message_pb2.Message(room_id=room_id, sender_id=sender_id).SerializeToString()
    if edit_time is not None:
        message += message_pb2.Message(edit_time=timestamp(edit_time)).SerializeToString()
    said = [embedded(_PARTS, part) for part in parts]
    if custom_data:
        said.append(embedded(_CUSTOM_DATA, custom_data))
    return b"".join([message, *said])


def placed_message(unplaced: bytes, seq: int, time: datetime) -> bytes:
    """Serialize the whole message."""
    place = message_pb2.Message(seq=seq, create_time=_timestamp(time), revision=seq)
    return unplaced + place.SerializeToString()


def shown_message(stored: bytes, request_id: str | None) -> bytes:
    """Serialize a message as it is shown: with its request id, which stands in its row alone; None is none."""
    return stored if request_id is None else stored + embedded(_REQUEST_ID, request_id.encode())


def edited_message(message: bytes, parts: bytes, custom_data: bytes | None, revision: int, time: datetime) -> bytes:
    """Serialize a message with other parts than it had, and other custom data unless that is None."""
    edited = message_pb2.Message.FromString(message)
    edited.ClearField("parts")
    edited.MergeFromString(parts)
    if custom_data is not None:
        edited.ClearField("custom_data")
    if custom_data:
        edited.custom_data.MergeFromString(custom_data)
    edited.revision = revision
    edited.edit_time.CopyFrom(timestamp(time))
    return edited.SerializeToString()


def anonymized_message(message: bytes, pseudonym: UserId, revision: int) -> bytes:
    """Serialize a message with another sender than it had."""
    anonymized = message_pb2.Message.FromString(message)
    anonymized.sender_id = pseudonym
    anonymized.revision = revision
    return anonymized.SerializeToString()


def sender_of(message: bytes) -> UserId:
    """Return whom a serialized message names as its sender."""
    return UserId(message_pb2.Message.FromString(message).sender_id)


def custom_data_of(message: bytes) -> bytes:
    """Serialize the custom data of a serialized message, equal ones to equal bytes."""
    return message_pb2.Message.FromString(message).custom_data.SerializeToString(deterministic=True)


def deleted_message(room_id: str, seq: int, revision: int, time: datetime) -> bytes:
    """Serialize what is left of a message."""
    deleted = message_pb2.Message(room_id=room_id, seq=seq, revision=revision, delete_time=timestamp(time))
    return deleted.SerializeToString()


def log_event(room_id: str, entry: LogEntry) -> bytes:
    """Serialize, as a frame, an event of the log: it keeps its kind, whatever became of the message.

    The frame is that of a ListRoomEventsResponse, too, which has its events under the same number.
    """
    event = room_event_pb2.RoomEvent(room_id=room_id, seq=entry.seq, time=_timestamp(entry.time)).SerializeToString()
    if entry.message is None:
        gone = room_event_pb2.MessageGone(seq=entry.message_seq).SerializeToString()
        return in_frame(event + embedded(_GONE, gone))
    return in_frame(event + embedded(_FIELDS[entry.kind], entry.message))


def stream_opened_event(now: datetime) -> bytes:
    """Serialize, as a frame, that a stream of several rooms is open."""
    return event_frame(room_event_pb2.RoomEvent(time=timestamp(now), opened=room_event_pb2.Opened()))


def opened_event(room_id: str, now: datetime, opening: RoomOpening) -> bytes:
    """Serialize, as a frame, how a stream starts."""
    resumed = opening.snapshot is None
    opened = room_event_pb2.Opened(
        position=_position(opening.position),
        oldest_seq=opening.oldest_seq,
        outcome=room_event_pb2.OUTCOME_RESUMED if resumed else room_event_pb2.OUTCOME_SNAPSHOT,
        reason=_REASONS[opening.snapshot] if opening.snapshot is not None else None,
        first_seq=opening.first_seq,
    )
    return event_frame(room_event_pb2.RoomEvent(room_id=room_id, time=timestamp(now), opened=opened))


def read_state_opened_event(room_id: str, now: datetime, position: Position) -> bytes:
    """Serialize, as a frame, that a room is open of which only the read state is sent."""
    opened = room_event_pb2.Opened(position=_position(position))
    return event_frame(room_event_pb2.RoomEvent(room_id=room_id, time=timestamp(now), opened=opened))


def caught_up_event(room_id: str, now: datetime, seq: int) -> bytes:
    """Serialize, as a frame, that the replay is complete."""
    caught_up = room_event_pb2.CaughtUp(seq=seq)
    return event_frame(room_event_pb2.RoomEvent(room_id=room_id, time=timestamp(now), caught_up=caught_up))


def heartbeat_event(room_id: str, now: datetime, head_seq: int) -> bytes:
    """Serialize, as a frame, a sign of life."""
    heartbeat = room_event_pb2.Heartbeat(head_seq=head_seq)
    return event_frame(room_event_pb2.RoomEvent(room_id=room_id, time=timestamp(now), heartbeat=heartbeat))


def closed_event(room_id: str, now: datetime, error: ChatkitError, position: Position | None) -> bytes:
    """Serialize, as a frame, why a room ends or, without a room, a stream."""
    closed = room_event_pb2.Closed(
        code=error.code.value[0],
        reason=number_of(error.reason),
        position=_position(position) if position is not None else None,
        retry_after=duration(error.retry_after),
    )
    return event_frame(room_event_pb2.RoomEvent(room_id=room_id, time=timestamp(now), closed=closed))


def event_frame(event: room_event_pb2.RoomEvent) -> bytes:
    """Serialize an event as a frame."""
    return in_frame(event.SerializeToString())


def in_frame(event: bytes) -> bytes:
    """Return the frame of an event that is serialized already; events have the same number in all responses."""
    return embedded(_EVENTS, event)


def _position(position: Position) -> position_pb2.Position:
    return position_pb2.Position(epoch=position.epoch, seq=position.seq)


def message_response(message: bytes) -> bytes:
    """Serialize the response of a method that answers with a message, which is its first field."""
    return embedded(1, message)


def messages_response(messages: Iterable[bytes]) -> bytes:
    """Serialize the response of a method that answers with messages, which are its first field."""
    return b"".join([embedded(1, message) for message in messages])


def page_response(messages: Iterable[bytes], *, next_page_token: str, previous_page_token: str) -> bytes:
    """Serialize ListMessagesResponse."""
    tail = messages_service_pb2.ListMessagesResponse(
        next_page_token=next_page_token, previous_page_token=previous_page_token
    )
    return messages_response(messages) + tail.SerializeToString()


def log_response(
    room_id: RoomId, entries: Sequence[LogEntry], end: Position, oldest_seq: int, next_page_token: str
) -> bytes:
    """Serialize ListRoomEventsResponse."""
    tail = messages_service_pb2.ListRoomEventsResponse(
        position=_position(end), oldest_seq=oldest_seq, next_page_token=next_page_token
    )
    return b"".join([*(log_event(room_id, entry) for entry in entries), tail.SerializeToString()])


def batch_response(results: Iterable[bytes | ChatkitError], names: JsonNames | None) -> bytes:
    """Serialize BatchSendMessagesResponse from messages and from why there is none, for JSON with the names it has."""
    field = messages_service_pb2.BatchSendMessagesResponse.RESULTS_FIELD_NUMBER
    return b"".join([embedded(field, send_result(result, names)) for result in results])


def send_result(result: bytes | ChatkitError, names: JsonNames | None = None) -> bytes:
    """Serialize a SendResult: a message, or why there is none, for JSON with the names it has."""
    if isinstance(result, bytes):
        return embedded(send_result_pb2.SendResult.MESSAGE_FIELD_NUMBER, result)
    if names is not None:
        result = names.spelled(result)
    failure = send_result_pb2.SendFailure(
        code=result.code.value[0],
        reason=number_of(result.reason),
        message=result.message,
        metadata=result.metadata,
        retry_after=duration(result.retry_after),
    )
    return send_result_pb2.SendResult(failure=failure).SerializeToString()
