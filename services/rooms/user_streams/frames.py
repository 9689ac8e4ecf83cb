"""The events of SubscribeUser, each serialized once as a frame of its own; frames are joined as bytes."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from chatkit.contract.v1 import stream_pb2
from chatkit.internal.feeds.v1 import user_feed_service_pb2
from chatkit.rooms.v1 import rooms_service_pb2, user_event_pb2, user_position_pb2
from chatkit.users.v1 import user_pb2

from services.rooms.model import Room, RoomView
from services.rooms.protos import membership_proto, room_proto
from services.rooms.user_streams.position import UserPosition
from services.runtime.contract.errors import ChatkitError
from services.runtime.contract.timestamps import timestamp
from services.runtime.contract.wire import embedded
from services.runtime.ids import RoomId, UserId
from services.runtime.streaming.open_streams import closed

_POSITION = user_event_pb2.UserEvent.POSITION_FIELD_NUMBER
_EVENTS = rooms_service_pb2.SubscribeUserResponse.EVENTS_FIELD_NUMBER
_POSITION_ON_FEED = user_feed_service_pb2.UserFeedEvent.POSITION_FIELD_NUMBER


@dataclass(frozen=True, slots=True)
class Event:
    """An event as a frame, and what a feed says beside it: where the follower stands then."""

    frame: bytes
    place: bytes = b""


def opened_event(now: datetime, user: user_pb2.User, *, resumed: bool = False) -> Event:
    """Serialize how a stream starts."""
    opened = user_event_pb2.UserOpened(user=user, resumed=resumed)
    return _event(user_event_pb2.UserEvent(time=timestamp(now), opened=opened))


def room_event(now: datetime, view: RoomView) -> Event:
    """Serialize a room of the state."""
    return _event(user_event_pb2.UserEvent(time=timestamp(now), room=_of_user(view)))


def caught_up_event(now: datetime, room_count: int, position: UserPosition | None) -> Event:
    """Serialize that the state is complete."""
    caught_up = user_event_pb2.UserCaughtUp(room_count=room_count)
    return _event(user_event_pb2.UserEvent(time=timestamp(now), caught_up=caught_up), position)


def heartbeat_event(time: datetime, position: UserPosition | None) -> Event:
    """Serialize a sign of life: every change until that time was sent."""
    return _event(user_event_pb2.UserEvent(time=timestamp(time), heartbeat=stream_pb2.StreamHeartbeat()), position)


def closed_event(now: datetime, error: ChatkitError) -> Event:
    """Serialize why a stream ends."""
    return _event(user_event_pb2.UserEvent(time=timestamp(now), closed=closed(error)))


def user_updated_event(user: user_pb2.User, position: UserPosition | None) -> Event:
    """Serialize that a user was changed."""
    return _event(user_event_pb2.UserEvent(time=user.update_time, user_updated=user), position)


def added_event(time: datetime, view: RoomView, position: UserPosition | None) -> Event:
    """Serialize that the stream's user became a member of a room."""
    return _event(user_event_pb2.UserEvent(time=timestamp(time), added_to_room=_of_user(view)), position)


def removed_event(time: datetime, room_id: RoomId, position: UserPosition | None) -> Event:
    """Serialize that the stream's user is no longer a member of a room."""
    removed = user_event_pb2.RemovedFromRoom(room_id=room_id)
    return _event(user_event_pb2.UserEvent(time=timestamp(time), removed_from_room=removed), position)


def room_updated_event(time: datetime, room: Room, position: UserPosition | None) -> Event:
    """Serialize that a room's description was changed."""
    return _event(user_event_pb2.UserEvent(time=timestamp(time), room_updated=room_proto(room)), position)


def room_deleted_event(time: datetime, room_id: RoomId, position: UserPosition | None) -> Event:
    """Serialize that a room was deleted."""
    deleted = user_event_pb2.RoomDeleted(room_id=room_id)
    return _event(user_event_pb2.UserEvent(time=timestamp(time), room_deleted=deleted), position)


def user_deleted_event(time: datetime, user_id: UserId) -> Event:
    """Serialize that somebody else was deleted."""
    deleted = user_event_pb2.UserDeleted(user_id=user_id)
    return _event(user_event_pb2.UserEvent(time=timestamp(time), user_deleted=deleted))


def joined_event(time: datetime, room_id: RoomId, user_id: UserId, position: UserPosition | None) -> Event:
    """Serialize that somebody else became a member of a room."""
    moved = user_event_pb2.MemberMoved(room_id=room_id, user_id=user_id)
    return _event(user_event_pb2.UserEvent(time=timestamp(time), member_joined=moved), position)


def left_event(time: datetime, room_id: RoomId, user_id: UserId, position: UserPosition | None) -> Event:
    """Serialize that somebody else is no longer a member of a room."""
    moved = user_event_pb2.MemberMoved(room_id=room_id, user_id=user_id)
    return _event(user_event_pb2.UserEvent(time=timestamp(time), member_left=moved), position)


def position_of(
    request: rooms_service_pb2.SubscribeUserRequest | user_feed_service_pb2.UserFollower,
) -> UserPosition | None:
    """Return where a subscriber says they stand; None for one who does not."""
    if not request.HasField("after"):
        return None
    after = request.after
    return UserPosition(after.rooms_epoch, after.rooms_version, after.users_epoch, after.users_version)


def place_of(position: UserPosition | None) -> bytes:
    """Serialize where a follower stands, as a feed says it beside an event; nothing where that is not known."""
    return b"" if position is None else embedded(_POSITION_ON_FEED, _serialized(position))


def once(make: Callable[[], Event]) -> Callable[[], Event]:
    """Return what serializes an event when somebody wants it, and then no more."""
    made: list[Event] = []

    def event() -> Event:
        if not made:
            made.append(make())
        return made[0]

    return event


def _of_user(view: RoomView) -> user_event_pb2.RoomOfUser:
    return user_event_pb2.RoomOfUser(room=room_proto(view.room), membership=membership_proto(view))


def _event(event: user_event_pb2.UserEvent, position: UserPosition | None = None) -> Event:
    serialized = event.SerializeToString()
    if position is None:
        return Event(embedded(_EVENTS, serialized))
    place = _serialized(position)
    return Event(embedded(_EVENTS, serialized + embedded(_POSITION, place)), embedded(_POSITION_ON_FEED, place))


def _serialized(position: UserPosition) -> bytes:
    return user_position_pb2.UserPosition(
        rooms_epoch=position.rooms_epoch,
        rooms_version=position.rooms_version,
        users_epoch=position.users_epoch,
        users_version=position.users_version,
    ).SerializeToString()
