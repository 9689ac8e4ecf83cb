"""Rooms as the contract shows them, and as it describes those to create."""

from chatkit.rooms.v1 import membership_pb2, room_pb2, rooms_service_pb2

from services.rooms.model import Draft, Room, RoomView, Visibility
from services.runtime.contract import json_values
from services.runtime.contract.timestamps import timestamp
from services.runtime.ids import RoomId, RoomUid, UserId


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


def draft_of(request: rooms_service_pb2.CreateRoomRequest, uid: RoomUid, creator_id: UserId) -> Draft:
    """Return the room that a request describes, without its members."""
    has_title = request.HasField("push_notification_title_override")
    return Draft(
        uid=uid,
        id=RoomId(request.id),
        name=request.name,
        visibility=Visibility(request.visibility),
        custom_data=json_values.plain(request.custom_data) if request.HasField("custom_data") else None,
        creator_id=creator_id,
        members={},
        request_id=request.request_id,
        push_notification_title_override=request.push_notification_title_override if has_title else None,
        retention_days=request.retention_days if request.HasField("retention_days") else None,
    )
