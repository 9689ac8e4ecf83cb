"""The events of SubscribeUser, each serialized once as a frame of its own; frames are joined as bytes."""

from collections.abc import Callable
from datetime import datetime

from chatkit.contract.v1 import stream_pb2
from chatkit.rooms.v1 import rooms_service_pb2, user_event_pb2
from chatkit.users.v1 import user_pb2

from services.rooms.model import Room, RoomView
from services.rooms.protos import membership_proto, room_proto
from services.runtime.contract.errors import ChatkitError
from services.runtime.contract.timestamps import timestamp
from services.runtime.ids import RoomId, UserId
from services.runtime.streaming.open_streams import closed


def opened_event(now: datetime, user: user_pb2.User) -> bytes:
    """Serialize how a stream starts."""
    return _frame(user_event_pb2.UserEvent(time=timestamp(now), opened=user_event_pb2.UserOpened(user=user)))


def room_event(now: datetime, view: RoomView) -> bytes:
    """Serialize a room of the state."""
    return _frame(user_event_pb2.UserEvent(time=timestamp(now), room=_of_user(view)))


def caught_up_event(now: datetime, room_count: int) -> bytes:
    """Serialize that the state is complete."""
    caught_up = user_event_pb2.UserCaughtUp(room_count=room_count)
    return _frame(user_event_pb2.UserEvent(time=timestamp(now), caught_up=caught_up))


def heartbeat_event(time: datetime) -> bytes:
    """Serialize a sign of life: every change until that time was sent."""
    return _frame(user_event_pb2.UserEvent(time=timestamp(time), heartbeat=stream_pb2.StreamHeartbeat()))


def closed_event(now: datetime, error: ChatkitError) -> bytes:
    """Serialize why a stream ends."""
    return _frame(user_event_pb2.UserEvent(time=timestamp(now), closed=closed(error)))


def user_updated_event(user: user_pb2.User) -> bytes:
    """Serialize that a user was changed."""
    return _frame(user_event_pb2.UserEvent(time=user.update_time, user_updated=user))


def added_event(time: datetime, view: RoomView) -> bytes:
    """Serialize that the stream's user became a member of a room."""
    return _frame(user_event_pb2.UserEvent(time=timestamp(time), added_to_room=_of_user(view)))


def removed_event(time: datetime, room_id: RoomId) -> bytes:
    """Serialize that the stream's user is no longer a member of a room."""
    removed = user_event_pb2.RemovedFromRoom(room_id=room_id)
    return _frame(user_event_pb2.UserEvent(time=timestamp(time), removed_from_room=removed))


def room_updated_event(time: datetime, room: Room) -> bytes:
    """Serialize that a room's description was changed."""
    return _frame(user_event_pb2.UserEvent(time=timestamp(time), room_updated=room_proto(room)))


def room_deleted_event(time: datetime, room_id: RoomId) -> bytes:
    """Serialize that a room was deleted."""
    deleted = user_event_pb2.RoomDeleted(room_id=room_id)
    return _frame(user_event_pb2.UserEvent(time=timestamp(time), room_deleted=deleted))


def user_deleted_event(time: datetime, user_id: UserId) -> bytes:
    """Serialize that somebody else was deleted."""
    deleted = user_event_pb2.UserDeleted(user_id=user_id)
    return _frame(user_event_pb2.UserEvent(time=timestamp(time), user_deleted=deleted))


def joined_event(time: datetime, room_id: RoomId, user_id: UserId) -> bytes:
    """Serialize that somebody else became a member of a room."""
    moved = user_event_pb2.MemberMoved(room_id=room_id, user_id=user_id)
    return _frame(user_event_pb2.UserEvent(time=timestamp(time), member_joined=moved))


def left_event(time: datetime, room_id: RoomId, user_id: UserId) -> bytes:
    """Serialize that somebody else is no longer a member of a room."""
    moved = user_event_pb2.MemberMoved(room_id=room_id, user_id=user_id)
    return _frame(user_event_pb2.UserEvent(time=timestamp(time), member_left=moved))


def once(make: Callable[[], bytes]) -> Callable[[], bytes]:
    """Return what serializes an event when somebody wants it, and then no more."""
    made: list[bytes] = []

    def event() -> bytes:
        if not made:
            made.append(make())
        return made[0]

    return event


def _of_user(view: RoomView) -> user_event_pb2.RoomOfUser:
    return user_event_pb2.RoomOfUser(room=room_proto(view.room), membership=membership_proto(view))


def _frame(event: user_event_pb2.UserEvent) -> bytes:
    return rooms_service_pb2.SubscribeUserResponse(events=[event]).SerializeToString()
