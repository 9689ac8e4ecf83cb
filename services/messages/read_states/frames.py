"""Read cursors, read states and summaries as bytes: frames of events that are not in the log, and parts of answers."""

from collections.abc import Iterable
from datetime import datetime

from chatkit.messages.v1 import read_cursor_pb2, read_state_pb2, room_event_pb2
from chatkit.messages.v1.room_summary_pb2 import RoomMember, RoomSummary
from chatkit.rooms.v1 import room_pb2

from services.messages import frames
from services.messages.read_states.model import ReadCursor, ReadState
from services.runtime.contract.timestamps import timestamp
from services.runtime.contract.wire import embedded


def cursor_proto(room_id: str, cursor: ReadCursor) -> read_cursor_pb2.ReadCursor:
    """Return a cursor as the contract has it."""
    return read_cursor_pb2.ReadCursor(
        room_id=room_id,
        user_id=cursor.user_id,
        seq=cursor.seq,
        revision=cursor.revision,
        update_time=timestamp(cursor.update_time),
    )


def cursor_event(room_id: str, cursor: ReadCursor) -> bytes:
    """Serialize, as a frame, where a cursor stands."""
    moved = cursor_proto(room_id, cursor)
    return frames.event_frame(room_event_pb2.RoomEvent(room_id=room_id, time=moved.update_time, cursor_set=moved))


def read_state(room_id: str, state: ReadState) -> bytes:
    """Serialize a read state as the contract has it; messages are serialized once, when they are stored."""
    known = read_state_pb2.ReadState(
        room_id=room_id,
        cursor=cursor_proto(room_id, state.cursor) if state.cursor is not None else None,
        unread_count=state.unread.count,
        unread_capped=state.unread.is_capped,
    ).SerializeToString()
    if state.last_message is None:
        return known
    return known + embedded(read_state_pb2.ReadState.LAST_MESSAGE_FIELD_NUMBER, state.last_message)


def read_state_event(room_id: str, now: datetime, state: ReadState) -> bytes:
    """Serialize, as a frame, what a room holds for the subscriber."""
    event = room_event_pb2.RoomEvent(room_id=room_id, time=timestamp(now)).SerializeToString()
    field = room_event_pb2.RoomEvent.READ_STATE_FIELD_NUMBER
    return frames.in_frame(event + embedded(field, read_state(room_id, state)))


def room_summary(
    room: room_pb2.Room, others: Iterable[RoomMember], state: ReadState | None, last_time: datetime | None
) -> bytes:
    """Serialize what is shown of a room as the contract has it."""
    known = RoomSummary(
        room=room,
        other_members=others,
        last_event_time=timestamp(last_time) if last_time is not None else None,
    ).SerializeToString()
    if state is None:
        return known
    return known + embedded(RoomSummary.READ_STATE_FIELD_NUMBER, read_state(room.id, state))
