"""The events of a device's stream as bytes: what was serialized once, here or elsewhere, is put into frames."""

from collections.abc import Collection, Iterator
from datetime import datetime

from chatkit.contract.v1 import stream_pb2
from chatkit.rooms.v1.user_position_pb2 import UserPosition
from chatkit.sync.v1 import sync_event_pb2, sync_service_pb2

from services.runtime.contract.errors import ChatkitError
from services.runtime.contract.timestamps import timestamp
from services.runtime.contract.wire import embedded, pieces
from services.runtime.streaming.open_streams import closed

Part = sync_event_pb2.SyncPart

_EVENTS = sync_service_pb2.SubscribeResponse.EVENTS_FIELD_NUMBER
ROOMS = sync_event_pb2.SYNC_PART_ROOMS
_OF_PART = {
    sync_event_pb2.SYNC_PART_USER: sync_event_pb2.SyncEvent.USER_FIELD_NUMBER,
    sync_event_pb2.SYNC_PART_PRESENCE: sync_event_pb2.SyncEvent.PRESENCE_FIELD_NUMBER,
}


def of_room(frame: bytes) -> bytes:
    """Return, as a frame, an event of a room that is a frame of SubscribeRooms.

    Such a frame has the room's event under the number that SyncEvent has it under: it is a SyncEvent already.
    """
    return embedded(_EVENTS, frame)


def of_part(part: Part, event: bytes) -> bytes:
    """Return, as a frame, a serialized event of another part."""
    return embedded(_EVENTS, embedded(_OF_PART[part], event))


def events_in(frame: bytes) -> Iterator[bytes]:
    """Yield the serialized events of a frame of another subscription; a ValueError when it is none."""
    return pieces(_EVENTS, frame)


def opened_event(stream_id: str, token_expire_time: datetime) -> bytes:
    """Serialize, as a frame, that the stream is open."""
    opened = sync_event_pb2.SyncOpened(stream_id=stream_id, token_expire_time=timestamp(token_expire_time))
    return _frame(sync_event_pb2.SyncEvent(opened=opened))


def caught_up_event() -> bytes:
    """Serialize, as a frame, that all parts have told how it stands."""
    return _frame(sync_event_pb2.SyncEvent(caught_up=sync_event_pb2.SyncCaughtUp()))


def heartbeat_event(behind: Collection[Part], user_position: UserPosition | None) -> bytes:
    """Serialize, as a frame, a sign of life: all was sent but of some parts; and where the user's part stands."""
    heartbeat = sync_event_pb2.SyncHeartbeat(behind=behind, user_position=user_position)
    return _frame(sync_event_pb2.SyncEvent(heartbeat=heartbeat))


def closed_event(error: ChatkitError) -> bytes:
    """Serialize, as a frame, why the stream ends."""
    return _frame(sync_event_pb2.SyncEvent(closed=closed(error)))


def part_closed_event(part: Part, error: ChatkitError) -> bytes:
    """Serialize, as a frame, why a part ends."""
    ending: stream_pb2.StreamClosed = closed(error)
    return _frame(sync_event_pb2.SyncEvent(part_closed=sync_event_pb2.PartClosed(part=part, closed=ending)))


def token_expiring_event(expire_time: datetime) -> bytes:
    """Serialize, as a frame, that the stream is about to end with its token."""
    expiring = stream_pb2.TokenExpiring(expire_time=timestamp(expire_time))
    return _frame(sync_event_pb2.SyncEvent(token_expiring=expiring))


def _frame(event: sync_event_pb2.SyncEvent) -> bytes:
    return embedded(_EVENTS, event.SerializeToString())
