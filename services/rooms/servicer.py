"""Protos to the domain and back, and nothing else."""

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace

from chatkit.rooms.v1 import memberships_service_pb2 as memberships_pb2
from chatkit.rooms.v1 import room_pb2
from chatkit.rooms.v1 import rooms_service_pb2 as rooms_pb2
from google.protobuf import struct_pb2
from google.protobuf.message import Message

from services.rooms.access.service import Access
from services.rooms.deletions.service import RoomDeletions
from services.rooms.model import RoomView
from services.rooms.protos import draft_of, membership_proto, room_proto
from services.rooms.quotas import Actor
from services.rooms.service import Rooms, Visits
from services.rooms.user_streams.frames import position_of
from services.rooms.user_streams.opening import UserOpenings
from services.runtime.calls.call import Call
from services.runtime.calls.paging import Defaults, PageTokens, fitting, page_size
from services.runtime.contract import json_values, masks
from services.runtime.contract.policies import Limits
from services.runtime.contract.serialized import Serialized
from services.runtime.contract.wire import embedded
from services.runtime.erasure.listing import DeletionListing
from services.runtime.erasure.protos import deletion_proto
from services.runtime.ids import RoomId, UserId

_UPDATABLE = ("name", "visibility", "custom_data", "push_notification_title_override", "retention_days")
_Page = rooms_pb2.ListRoomsResponse | rooms_pb2.ListJoinableRoomsResponse | rooms_pb2.ListUserRoomsResponse
_ROOMS = rooms_pb2.ListUserRoomsResponse.ROOMS_FIELD_NUMBER
_MEMBERSHIPS = rooms_pb2.ListUserRoomsResponse.MEMBERSHIPS_FIELD_NUMBER


class RoomsServicer:
    """chatkit.rooms.v1.RoomsService."""

    SERVICE = rooms_pb2.DESCRIPTOR.services_by_name["RoomsService"]

    def __init__(
        self,
        rooms: Rooms,
        access: Access,
        deletions: RoomDeletions,
        listing: DeletionListing,
        openings: UserOpenings,
        page_tokens: PageTokens,
        limits: Limits,
    ) -> None:
        self._rooms = rooms
        self._access = access
        self._deletions = deletions
        self._listing = listing
        self._openings = openings
        self._page_tokens = page_tokens
        self._limits = limits
        self._serialized = Serialized(room_proto)

    async def CreateRoom(self, request: rooms_pb2.CreateRoomRequest, call: Call) -> rooms_pb2.CreateRoomResponse:
        """Create a room."""
        draft = replace(
            draft_of(request, self._rooms.new_uid(), call.acting_user),
            content_hashes=_content_hashes(request, call.acting_user),
        )
        view = await self._rooms.create(draft, request.user_ids, call.deadline, superuser=call.caller.superuser)
        return rooms_pb2.CreateRoomResponse(room=room_proto(view.room), membership=membership_proto(view))

    async def GetOrCreateDirectRoom(
        self, request: rooms_pb2.GetOrCreateDirectRoomRequest, call: Call
    ) -> rooms_pb2.GetOrCreateDirectRoomResponse:
        """Return the direct room of two users."""
        view = await self._rooms.direct(
            call.acting_user, UserId(request.other_user_id), call.deadline, superuser=call.caller.superuser
        )
        return rooms_pb2.GetOrCreateDirectRoomResponse(room=room_proto(view.room), membership=membership_proto(view))

    async def GetRoom(self, _request: rooms_pb2.GetRoomRequest, call: Call) -> rooms_pb2.GetRoomResponse:
        """Read a room."""
        view = await self._rooms.get(call.room)
        return rooms_pb2.GetRoomResponse(room=room_proto(view.room), membership=membership_proto(view))

    async def GetMyPermissions(
        self, request: rooms_pb2.GetMyPermissionsRequest, call: Call
    ) -> rooms_pb2.GetMyPermissionsResponse:
        """Tell what a user may do in a room."""
        found = await self._access.permissions(
            RoomId(request.room_id), call.acting_user, superuser=call.caller.superuser
        )
        if request.user_id and not found.is_member:
            await self._rooms.must_exist(request.user_id, call.deadline)
        return rooms_pb2.GetMyPermissionsResponse(permissions=sorted(found.names), is_member=found.is_member)

    async def ListRooms(self, request: rooms_pb2.ListRoomsRequest, call: Call) -> bytes:
        """Read a page of the instance's rooms."""
        after, size = self._start(request, call, {}, first=request.after_room_id)
        found = await self._rooms.page(after, size + 1, with_private=request.include_private)
        return self._page(rooms_pb2.ListRoomsResponse, [RoomView(room, ()) for room in found], request, call)

    async def ListJoinableRooms(self, request: rooms_pb2.ListJoinableRoomsRequest, call: Call) -> bytes:
        """Read a page of the rooms that a user may join."""
        after, size = self._start(request, call, {"user_id": call.caller.subject})
        if call.acting_user != call.caller.subject:
            await self._rooms.must_exist(call.acting_user, call.deadline)
        views = await self._rooms.joinable_page(call.acting_user, after, size + 1)
        return self._page(rooms_pb2.ListJoinableRoomsResponse, views, request, call)

    async def ListUserRooms(self, request: rooms_pb2.ListUserRoomsRequest, call: Call) -> bytes:
        """Read a page of a user's rooms."""
        after, size = self._start(request, call, {"user_id": call.caller.subject})
        views = await self._rooms.page_of_user(call.acting_user, after, size + 1)
        if not views and request.user_id:
            await self._rooms.must_exist(request.user_id, call.deadline)
        return self._page(rooms_pb2.ListUserRoomsResponse, views, request, call)

    async def UpdateRoom(self, request: rooms_pb2.UpdateRoomRequest, call: Call) -> rooms_pb2.UpdateRoomResponse:
        """Change a room."""
        changes = masks.changes(request, _UPDATABLE, required=("name", "visibility"))
        return rooms_pb2.UpdateRoomResponse(room=room_proto(await self._rooms.update(call.room, changes, request.etag)))

    async def DeleteRoom(self, request: rooms_pb2.DeleteRoomRequest, call: Call) -> rooms_pb2.DeleteRoomResponse:
        """Delete a room."""
        room_id = RoomId(request.room_id)
        if call.caller.superuser:
            deletion = await self._deletions.delete_or_find(room_id, call.deadline)
        else:
            deletion = await self._deletions.delete(call.room, room_id, call.deadline)
        return rooms_pb2.DeleteRoomResponse(deletion=deletion_proto(deletion))

    async def GetDeletion(self, request: rooms_pb2.GetDeletionRequest, _call: Call) -> rooms_pb2.GetDeletionResponse:
        """Read how far a deletion is."""
        return rooms_pb2.GetDeletionResponse(deletion=await self._listing.get(request.deletion_id))

    async def ListDeletions(
        self, request: rooms_pb2.ListDeletionsRequest, call: Call
    ) -> rooms_pb2.ListDeletionsResponse:
        """Read a page of deletions."""
        deletions, token = await self._listing.page(request, call)
        return rooms_pb2.ListDeletionsResponse(deletions=deletions, next_page_token=token)

    async def SubscribeUser(self, request: rooms_pb2.SubscribeUserRequest, call: Call) -> AsyncIterator[bytes]:
        """Follow a user's rooms."""
        after = position_of(request)
        subscribed = self._openings.subscribe(call.acting_user, after, call.query, call.caller, call.on_end)
        async with aclosing(subscribed) as frames:
            async for frame in frames:
                yield frame

    def _start(self, request: Message, call: Call, defaults: Defaults, first: str = "") -> tuple[str, int]:
        """Return the id that the page starts after, and the size of the page."""
        key = self._page_tokens.read(call.caller, request, defaults)
        return str(key[0]) if key else first, page_size(request, self._limits)

    def _page(self, kind: type[_Page], views: Sequence[RoomView], request: Message, call: Call) -> bytes:
        """Serialize what fits into a page; `views` has one more than the page where there is a next one."""
        shown = (self._shown(kind, view) for view in views[: page_size(request, self._limits)])
        found = list(fitting(shown, lambda one: len(one[0]) + len(one[1])))
        end = kind()
        if len(found) < len(views):
            end.next_page_token = self._page_tokens.make(call.caller, request, [views[len(found) - 1].room.id])
        # Those of a field stand together: Envoy makes a list of each run of them in JSON.
        return b"".join([*(room for room, _ in found), *(members for _, members in found), end.SerializeToString()])

    def _shown(self, kind: type[_Page], view: RoomView) -> tuple[bytes, bytes]:
        room = embedded(_ROOMS, self._serialized.of(view.room.uid, view.room))
        if kind is rooms_pb2.ListRoomsResponse:
            return room, b""
        return room, embedded(_MEMBERSHIPS, membership_proto(view).SerializeToString())


class MembershipsServicer:
    """chatkit.rooms.v1.MembershipsService."""

    SERVICE = memberships_pb2.DESCRIPTOR.services_by_name["MembershipsService"]

    def __init__(self, rooms: Rooms, visits: Visits, page_tokens: PageTokens, limits: Limits) -> None:
        self._rooms = rooms
        self._visits = visits
        self._page_tokens = page_tokens
        self._limits = limits

    async def JoinRoom(self, request: memberships_pb2.JoinRoomRequest, call: Call) -> memberships_pb2.JoinRoomResponse:
        """Join a room."""
        view = await self._visits.join(
            RoomId(request.room_id), call.acting_user, superuser=call.caller.superuser, deadline=call.deadline
        )
        return memberships_pb2.JoinRoomResponse(room=room_proto(view.room), membership=membership_proto(view))

    async def LeaveRoom(
        self, request: memberships_pb2.LeaveRoomRequest, call: Call
    ) -> memberships_pb2.LeaveRoomResponse:
        """Leave a room."""
        await self._visits.leave(RoomId(request.room_id), call.acting_user)
        return memberships_pb2.LeaveRoomResponse()

    async def AddMembers(
        self, request: memberships_pb2.AddMembersRequest, call: Call
    ) -> memberships_pb2.AddMembersResponse:
        """Add members."""
        actor = Actor(call.user_id, call.caller.superuser)
        await self._rooms.add_members(call.room, request.user_ids, actor, call.deadline)
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


def _content_hashes(request: rooms_pb2.CreateRoomRequest, creator_id: str) -> Sequence[bytes]:
    """Return the hash of what is asked for, and those that the release before made of the same.

    The members are a set, to which the creator belongs, and custom_data is what is kept of it. Releases before hashed
    them as they were sent, and took public for granted.
    """
    sent = rooms_pb2.CreateRoomRequest()
    sent.CopyFrom(request)
    sent.ClearField("request_id")
    sent.creator_id = creator_id
    sent.DiscardUnknownFields()
    meant = rooms_pb2.CreateRoomRequest()
    meant.CopyFrom(sent)
    meant.user_ids[:] = sorted(set(sent.user_ids) - {creator_id})
    hashes = [_hash(meant), _hash(sent)]
    if meant.HasField("custom_data"):
        kept = json_values.struct_of(json_values.as_jsonb(json_values.plain(meant.custom_data)))
        meant.custom_data.CopyFrom(kept or struct_pb2.Struct())
        hashes.insert(0, _hash(meant))
    if sent.visibility == room_pb2.VISIBILITY_PUBLIC:
        sent.ClearField("visibility")
        hashes.append(_hash(sent))
    return hashes


def _hash(content: rooms_pb2.CreateRoomRequest) -> bytes:
    return hashlib.sha256(content.SerializeToString(deterministic=True)).digest()
