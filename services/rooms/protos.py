"""Rooms as the contract shows them."""

from chatkit.rooms.v1 import membership_pb2, room_pb2

from services.rooms.model import Room, RoomView
from services.runtime.contract import json_values
from services.runtime.contract.timestamps import timestamp


def membership_proto(view: RoomView) -> membership_pb2.Membership:
    """Return the members of a room as the contract shows them."""
    return membership_pb2.Membership(room_id=view.room.id, user_ids=view.member_ids)


def room_proto(room: Room) -> room_pb2.Room:
    """Return a room as the contract shows it."""
    return room_pb2.Room(
        id=room.id,
        name=room.name,
        visibility=room_pb2.Visibility.Name(room.visibility),
        custom_data=json_values.struct_of(room.custom_data),
        creator_id=room.creator_id,
        member_count=room.member_count,
        create_time=timestamp(room.create_time),
        update_time=timestamp(room.update_time),
        etag=room.etag,
        push_notification_title_override=room.push_notification_title_override,
        retention_days=room.retention_days,
        # Of one who was deleted there is none.
        direct_user_ids=[user_id for user_id in room.direct_user_ids if user_id],
    )
