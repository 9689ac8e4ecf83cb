"""Protos to the domain and back, and nothing else."""

import hashlib

from chatkit.rooms.v1 import membership_pb2, room_pb2
from chatkit.rooms.v1 import memberships_service_pb2 as memberships_pb2
from chatkit.rooms.v1 import rooms_service_pb2 as rooms_pb2

from services.rooms.model import Room, RoomView, Visibility
from services.rooms.service import Rooms, Visits
from services.runtime import json_values, masks
from services.runtime.contract import Limits
from services.runtime.handlers import Call
from services.runtime.paging import PageTokens, page_size
from services.runtime.timestamps import timestamp

_UPDATABLE = ("name", "visibility", "custom_data")
# A page ends early rather than grow past what a client takes in one message by default, 4 MiB.
_PAGE_BYTES = 1024 * 1024


class RoomsServicer:
    """chatkit.rooms.v1.RoomsService."""

    def __init__(self, rooms: Rooms, page_tokens: PageTokens, limits: Limits) -> None:
        self._rooms = rooms
        self._page_tokens = page_tokens
        self._limits = limits

    async def CreateRoom(self, request: rooms_pb2.CreateRoomRequest, call: Call) -> rooms_pb2.CreateRoomResponse:
        """Create a room."""
        view = await self._rooms.create(
            room_id=request.id,
            name=request.name,
            visibility=Visibility(request.visibility or Visibility.PUBLIC),
            custom_data=json_values.plain(request.custom_data) if request.HasField("custom_data") else None,
            creator_id=call.acting_user,
            user_ids=request.user_ids,
            request_id=request.request_id,
            content_hash=_content_hash(request, call.acting_user),
            seconds=call.seconds,
        )
        return rooms_pb2.CreateRoomResponse(room=_room(view.room), membership=_membership(view))

    async def GetRoom(self, _request: rooms_pb2.GetRoomRequest, call: Call) -> rooms_pb2.GetRoomResponse:
        """Read a room."""
        is_member = call.room.user_uid is not None or call.caller.superuser
        view = await self._rooms.get(call.room, with_members=is_member)
        return rooms_pb2.GetRoomResponse(room=_room(view.room), membership=_membership(view) if is_member else None)

    async def ListUserRooms(
        self, request: rooms_pb2.ListUserRoomsRequest, call: Call
    ) -> rooms_pb2.ListUserRoomsResponse:
        """Read a page of a user's rooms."""
        key = self._page_tokens.read(call.caller, request)
        size = page_size(request, self._limits)
        views = await self._rooms.page_of_user(call.acting_user, str(key[0]) if key else "", size + 1)
        if not views and request.user_id:
            await self._rooms.must_exist(request.user_id, call.seconds)
        response = rooms_pb2.ListUserRoomsResponse()
        taken = _take(response, views[:size])
        if taken < len(views):
            response.next_page_token = self._page_tokens.make(call.caller, request, [views[taken - 1].room.id])
        return response

    async def UpdateRoom(self, request: rooms_pb2.UpdateRoomRequest, call: Call) -> rooms_pb2.UpdateRoomResponse:
        """Change a room."""
        changes = masks.changes(request, _UPDATABLE, required=("name", "visibility"))
        return rooms_pb2.UpdateRoomResponse(room=_room(await self._rooms.update(call.room, changes, request.etag)))


class MembershipsServicer:
    """chatkit.rooms.v1.MembershipsService."""

    def __init__(self, rooms: Rooms, visits: Visits, page_tokens: PageTokens, limits: Limits) -> None:
        self._rooms = rooms
        self._visits = visits
        self._page_tokens = page_tokens
        self._limits = limits

    async def JoinRoom(self, request: memberships_pb2.JoinRoomRequest, call: Call) -> memberships_pb2.JoinRoomResponse:
        """Join a room."""
        view = await self._visits.join(
            request.room_id, call.acting_user, superuser=call.caller.superuser, seconds=call.seconds
        )
        return memberships_pb2.JoinRoomResponse(room=_room(view.room), membership=_membership(view))

    async def LeaveRoom(
        self, request: memberships_pb2.LeaveRoomRequest, call: Call
    ) -> memberships_pb2.LeaveRoomResponse:
        """Leave a room."""
        await self._visits.leave(request.room_id, call.acting_user)
        return memberships_pb2.LeaveRoomResponse()

    async def AddMembers(
        self, request: memberships_pb2.AddMembersRequest, call: Call
    ) -> memberships_pb2.AddMembersResponse:
        """Add members."""
        await self._rooms.add_members(call.room, request.user_ids, call.seconds)
        return memberships_pb2.AddMembersResponse()

    async def RemoveMembers(
        self, request: memberships_pb2.RemoveMembersRequest, call: Call
    ) -> memberships_pb2.RemoveMembersResponse:
        """Remove members."""
        await self._rooms.remove_members(call.room, request.user_ids)
        return memberships_pb2.RemoveMembersResponse()

    async def ListMembers(
        self, request: memberships_pb2.ListMembersRequest, call: Call
    ) -> memberships_pb2.ListMembersResponse:
        """Read a page of members."""
        key = self._page_tokens.read(call.caller, request)
        size = page_size(request, self._limits)
        user_ids = await self._rooms.member_page(call.room, str(key[0]) if key else "", size + 1)
        response = memberships_pb2.ListMembersResponse(user_ids=user_ids[:size])
        if len(user_ids) > size:
            response.next_page_token = self._page_tokens.make(call.caller, request, [user_ids[size - 1]])
        return response


def _content_hash(request: rooms_pb2.CreateRoomRequest, creator_id: str) -> bytes:
    content = rooms_pb2.CreateRoomRequest()
    content.CopyFrom(request)
    content.ClearField("request_id")
    content.creator_id = creator_id
    content.DiscardUnknownFields()
    return hashlib.sha256(content.SerializeToString(deterministic=True)).digest()


def _take(response: rooms_pb2.ListUserRoomsResponse, views: list[RoomView]) -> int:
    """Fill a page and return how many fitted."""
    size = 0
    for taken, view in enumerate(views):
        room, membership = _room(view.room), _membership(view)
        size += room.ByteSize() + membership.ByteSize()
        if taken and size > _PAGE_BYTES:
            return taken
        response.rooms.append(room)
        response.memberships.append(membership)
    return len(views)


def _membership(view: RoomView) -> membership_pb2.Membership:
    return membership_pb2.Membership(room_id=view.room.id, user_ids=view.member_ids)


def _room(room: Room) -> room_pb2.Room:
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
    )
