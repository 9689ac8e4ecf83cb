"""Every method of the contract says what it asks of its callers."""

import pytest
from chatkit.contract.v1 import limit_pb2, method_policy_pb2
from google.protobuf.descriptor import FieldDescriptor

from services.runtime.contract.policies import MethodContract, permissions
from tests.contract import descriptors

METHODS = descriptors.methods()
U, S, I, E = (  # noqa: E741 - the letters of the design's table
    method_policy_pb2.AUDIENCE_USER,
    method_policy_pb2.AUDIENCE_SUPERUSER,
    method_policy_pb2.AUDIENCE_SERVICE,
    method_policy_pb2.AUDIENCE_EDGE,
)
MEMBER, MEMBER_UNLESS_PUBLIC, ANYONE, PER_ROOM, MEMBER_OF_USERS = (
    method_policy_pb2.MEMBERSHIP_REQUIRED,
    method_policy_pb2.MEMBERSHIP_REQUIRED_UNLESS_PUBLIC,
    method_policy_pb2.MEMBERSHIP_NOT_REQUIRED,
    method_policy_pb2.MEMBERSHIP_REQUIRED_PER_ROOM,
    method_policy_pb2.MEMBERSHIP_REQUIRED_OF_USERS,
)
NO_ROOM = None
# Audience, permission, membership of the room, the field that says who acts. A method that is missing here fails.
ACCESS = {
    "chatkit.users.v1.UsersService/CreateUser": (S, "", NO_ROOM, ""),
    "chatkit.users.v1.UsersService/BatchCreateUsers": (S, "", NO_ROOM, ""),
    "chatkit.users.v1.UsersService/GetUser": (U, "user:get", NO_ROOM, ""),
    "chatkit.users.v1.UsersService/BatchGetUsers": (U, "user:get", NO_ROOM, ""),
    "chatkit.users.v1.UsersService/ListUsers": (S, "", NO_ROOM, ""),
    "chatkit.users.v1.UsersService/SearchUsers": (U, "user:search", NO_ROOM, ""),
    "chatkit.users.v1.UsersService/UpdateUser": (U, "user:update", NO_ROOM, "user_id"),
    "chatkit.users.v1.UsersService/DeleteUser": (S, "", NO_ROOM, ""),
    "chatkit.users.v1.UsersService/GetDeletion": (S, "", NO_ROOM, ""),
    "chatkit.users.v1.UsersService/ListDeletions": (S, "", NO_ROOM, ""),
    "chatkit.users.v1.UsersService/ExportUser": (S, "", NO_ROOM, ""),
    "chatkit.users.v1.PresenceService/SubscribePresence": (U, "presence:subscribe", NO_ROOM, "user_id"),
    "chatkit.users.v1.PresenceService/GetPresence": (U, "presence:subscribe", NO_ROOM, ""),
    "chatkit.rooms.v1.RoomsService/CreateRoom": (U, "room:create", NO_ROOM, "creator_id"),
    "chatkit.rooms.v1.RoomsService/GetOrCreateDirectRoom": (U, "room:create", NO_ROOM, "user_id"),
    "chatkit.rooms.v1.RoomsService/ListRooms": (S, "", NO_ROOM, ""),
    "chatkit.rooms.v1.RoomsService/ListJoinableRooms": (U, "user:rooms:get", NO_ROOM, "user_id"),
    "chatkit.rooms.v1.RoomsService/GetRoom": (U, "room:get", MEMBER_UNLESS_PUBLIC, ""),
    "chatkit.rooms.v1.RoomsService/GetMyPermissions": (U, "room:get", MEMBER_UNLESS_PUBLIC, "user_id"),
    "chatkit.rooms.v1.RoomsService/ListUserRooms": (U, "user:rooms:get", NO_ROOM, "user_id"),
    "chatkit.rooms.v1.RoomsService/SubscribeUser": (U, "user:rooms:get", NO_ROOM, "user_id"),
    "chatkit.rooms.v1.RoomsService/UpdateRoom": (U, "room:update", MEMBER, ""),
    "chatkit.rooms.v1.RoomsService/DeleteRoom": (U, "room:delete", MEMBER_OF_USERS, ""),
    "chatkit.rooms.v1.RoomsService/GetDeletion": (U, "room:get", NO_ROOM, ""),
    "chatkit.rooms.v1.RoomsService/ListDeletions": (S, "", NO_ROOM, ""),
    "chatkit.rooms.v1.MembershipsService/JoinRoom": (U, "room:join", ANYONE, "user_id"),
    "chatkit.rooms.v1.MembershipsService/LeaveRoom": (U, "room:leave", ANYONE, "user_id"),
    "chatkit.rooms.v1.MembershipsService/AddMembers": (U, "room:members:add", MEMBER, ""),
    "chatkit.rooms.v1.MembershipsService/RemoveMembers": (U, "room:members:remove", MEMBER, ""),
    "chatkit.rooms.v1.MembershipsService/ListMembers": (U, "room:get", MEMBER, ""),
    "chatkit.rooms.v1.RolesService/CreateRole": (S, "", NO_ROOM, ""),
    "chatkit.rooms.v1.RolesService/GetRole": (S, "", NO_ROOM, ""),
    "chatkit.rooms.v1.RolesService/ListRoles": (S, "", NO_ROOM, ""),
    "chatkit.rooms.v1.RolesService/UpdateRole": (S, "", NO_ROOM, ""),
    "chatkit.rooms.v1.RolesService/DeleteRole": (S, "", NO_ROOM, ""),
    "chatkit.rooms.v1.RolesService/AssignRole": (S, "", NO_ROOM, ""),
    "chatkit.rooms.v1.RolesService/UnassignRole": (S, "", NO_ROOM, ""),
    "chatkit.rooms.v1.RolesService/ListUserRoles": (S, "", NO_ROOM, ""),
    "chatkit.messages.v1.MessagesService/SendMessage": (U, "message:create", MEMBER, "sender_id"),
    "chatkit.messages.v1.MessagesService/BatchSendMessages": (S, "", NO_ROOM, ""),
    "chatkit.messages.v1.MessagesService/SendMessages": (U, "message:create", PER_ROOM, ""),
    "chatkit.messages.v1.MessagesService/EditMessage": (U, "message:edit", MEMBER, ""),
    "chatkit.messages.v1.MessagesService/DeleteMessage": (U, "message:delete", MEMBER, ""),
    "chatkit.messages.v1.MessagesService/GetMessage": (U, "room:messages:get", MEMBER, ""),
    "chatkit.messages.v1.MessagesService/BatchGetMessages": (U, "room:messages:get", MEMBER, ""),
    "chatkit.messages.v1.MessagesService/ListMessages": (U, "room:messages:get", MEMBER, ""),
    "chatkit.messages.v1.MessagesService/ListRoomEvents": (U, "room:messages:get", MEMBER, ""),
    "chatkit.messages.v1.MessagesService/SubscribeRoom": (U, "room:messages:get", MEMBER, ""),
    "chatkit.messages.v1.MessagesService/SubscribeRooms": (U, "room:messages:get", PER_ROOM, "user_id"),
    "chatkit.messages.v1.MessagesService/SendTyping": (U, "room:typing_indicator:create", MEMBER, "user_id"),
    "chatkit.messages.v1.ReadStatesService/SetReadCursor": (U, "cursors:read:set", MEMBER, "user_id"),
    "chatkit.messages.v1.ReadStatesService/GetReadCursor": (U, "cursors:read:get", MEMBER, ""),
    "chatkit.messages.v1.ReadStatesService/ListReadCursors": (U, "cursors:read:get", MEMBER, ""),
    "chatkit.messages.v1.ReadStatesService/ListReadStates": (U, "cursors:read:get", MEMBER, "user_id"),
    "chatkit.messages.v1.ReadStatesService/GetUnreadTotal": (U, "user:rooms:get", NO_ROOM, "user_id"),
    "chatkit.messages.v1.ReadStatesService/ListRoomSummaries": (U, "user:rooms:get", NO_ROOM, "user_id"),
    "chatkit.sync.v1.SyncService/Subscribe": (U, "room:messages:get", PER_ROOM, "user_id"),
    "chatkit.sync.v1.SyncService/UpdateSubscription": (U, "", NO_ROOM, "user_id"),
    "chatkit.sync.v1.SyncService/RenewToken": (U, "", NO_ROOM, "user_id"),
    "chatkit.files.v1.FilesService/CreateFile": (U, "file:create", MEMBER, "user_id"),
    "chatkit.files.v1.FilesService/UploadFile": (U, "file:create", MEMBER, "user_id"),
    "chatkit.files.v1.FilesService/GetFile": (U, "file:get", MEMBER, ""),
    "chatkit.files.v1.FilesService/BatchGetFiles": (U, "file:get", PER_ROOM, ""),
    "chatkit.files.v1.FilesService/DownloadFile": (U, "file:get", MEMBER, ""),
    "chatkit.files.v1.FilesService/ListFiles": (U, "file:get", MEMBER, ""),
    "chatkit.files.v1.FilesService/DeleteFile": (U, "file:create", MEMBER, "user_id"),
    "chatkit.internal.access.v1.AccessService/CheckAccess": (I, "", NO_ROOM, ""),
    "chatkit.internal.access.v1.AccessService/BatchCheckAccess": (I, "", NO_ROOM, ""),
    "chatkit.internal.access.v1.AccessService/BatchCheckUsers": (I, "", NO_ROOM, ""),
    "chatkit.internal.access.v1.AccessService/ListRoomsOf": (I, "", NO_ROOM, ""),
    "chatkit.internal.access.v1.AccessService/FilterMembers": (I, "", NO_ROOM, ""),
    "chatkit.internal.access.v1.AccessService/BatchFilterMembers": (I, "", NO_ROOM, ""),
    "chatkit.internal.access.v1.AccessService/WatchAccess": (I, "", NO_ROOM, ""),
    "chatkit.internal.attachments.v1.AttachmentsService/AttachFiles": (I, "", NO_ROOM, ""),
    "chatkit.internal.attachments.v1.AttachmentsService/FindFiles": (I, "", NO_ROOM, ""),
    "chatkit.internal.attachments.v1.ReferencesService/ReferencedFiles": (I, "", NO_ROOM, ""),
    "chatkit.internal.descriptions.v1.DescriptionsService/BatchDescribeRooms": (I, "", NO_ROOM, ""),
    "chatkit.internal.directory.v1.DirectoryService/ResolveUsers": (I, "", NO_ROOM, ""),
    "chatkit.internal.directory.v1.DirectoryService/WatchUsers": (I, "", NO_ROOM, ""),
    "chatkit.internal.erasure.v1.ErasureService/Erase": (I, "", NO_ROOM, ""),
    "chatkit.internal.erasure.v1.ErasureService/Export": (I, "", NO_ROOM, ""),
    "chatkit.internal.edges.v1.EdgesService/EndStreams": (E, "", NO_ROOM, ""),
    "chatkit.internal.feeds.v1.PresenceFeedService/FollowPresence": (I, "", NO_ROOM, ""),
    "chatkit.internal.feeds.v1.UserFeedService/FollowUsers": (I, "", NO_ROOM, ""),
    "chatkit.internal.retention.v1.RetentionService/BatchGetRetention": (I, "", NO_ROOM, ""),
}
# They act on a stream of the caller's own, which was let in by its permissions and keeps asking for them.
OF_ONES_OWN_STREAM = {"UpdateSubscription", "RenewToken"}
# What is asked instead where a method acts on what is another user's.
ACCESS_TO_OTHERS = {
    "chatkit.messages.v1.MessagesService/EditMessage": "message:moderate",
    "chatkit.messages.v1.MessagesService/DeleteMessage": "message:moderate",
}

every_method = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.path)


def test_access_is_what_was_decided_and_nobody_widens_it_by_accident() -> None:
    declared = {}
    for method in METHODS:
        policy = method.policy
        membership = policy.room.membership if policy.HasField("room") else NO_ROOM
        declared[method.path.removeprefix("/")] = (policy.audience, policy.permission, membership, policy.self_field)
    assert declared == ACCESS
    to_others = {method.path.removeprefix("/"): method.policy.permission_for_others for method in METHODS}
    assert {path: permission for path, permission in to_others.items() if permission} == ACCESS_TO_OTHERS


@every_method
def test_a_method_has_a_largest_request_and_either_a_deadline_or_a_stream(method: MethodContract) -> None:
    assert method.policy.request_bytes in {limit_pb2.LIMIT_REQUEST_BYTES, limit_pb2.LIMIT_BATCH_REQUEST_BYTES}
    assert (method.policy.deadline_ms > 0) != method.streams


@every_method
def test_public_methods_have_a_rate_and_internal_ones_none(method: MethodContract) -> None:
    assert bool(method.policy.rate_class) == method.is_public
    assert method.path.startswith("/chatkit.internal.") != method.is_public


@every_method
def test_the_fields_that_a_policy_names_are_strings_of_the_request_or_rooms(method: MethodContract) -> None:
    fields = method.request_class.DESCRIPTOR.fields_by_name
    if method.policy.HasField("room"):
        assert method.policy.room.field or _is_of_rooms_that_it_does_not_name(method)
    if method.policy.room.field and method.policy.room.membership == PER_ROOM:
        rooms = fields[method.policy.room.field]
        assert rooms.is_repeated
        assert rooms.message_type is not None
        assert rooms.message_type.fields_by_name["room_id"].type == FieldDescriptor.TYPE_STRING
        return
    for name in filter(None, (method.policy.room.field, method.policy.self_field)):
        assert fields[name].type == FieldDescriptor.TYPE_STRING
        assert not fields[name].is_repeated


@every_method
def test_a_public_method_whose_request_has_a_room_says_what_it_asks_of_the_caller(method: MethodContract) -> None:
    has_room = not {"room_id", "rooms", "requests"}.isdisjoint(method.request_class.DESCRIPTOR.fields_by_name)
    if method.policy.audience == method_policy_pb2.AUDIENCE_USER:
        assert method.policy.HasField("room") == (has_room or _is_of_rooms_that_it_does_not_name(method))


def _is_of_rooms_that_it_does_not_name(method: MethodContract) -> bool:
    """Tell whether the rooms are those of what the request names."""
    return method.policy.room.membership == PER_ROOM and not method.policy.room.field


@every_method
def test_a_permission_that_a_method_asks_for_is_declared(method: MethodContract) -> None:
    declared = {"", *(permission.name for permission in permissions())}
    assert {method.policy.permission, method.policy.permission_for_others} <= declared


@every_method
def test_every_user_needs_a_permission_and_whoever_needs_none_is_no_user(method: MethodContract) -> None:
    # So a method that names a room and asks for membership has one too, and none opens by membership alone.
    asks = method.policy.audience == U and method.name not in OF_ONES_OWN_STREAM
    assert bool(method.policy.permission) == asks


@every_method
def test_what_a_role_of_a_room_can_grant_is_asked_for_only_by_methods_with_a_room(
    method: MethodContract,
) -> None:
    in_rooms = {permission.name for permission in permissions() if permission.in_rooms}
    if {method.policy.permission, method.policy.permission_for_others} & in_rooms:
        assert method.policy.HasField("room")


def test_a_streams_response_has_one_field_and_it_is_repeated() -> None:
    streams = [method for method in METHODS if method.streams]
    assert streams
    for method in streams:
        (field,) = method.response_class.DESCRIPTOR.fields
        assert field.is_repeated, method.path


def test_every_method_has_a_request_and_a_response_of_its_own() -> None:
    for service in descriptors.services():
        for method in service.methods:
            assert method.input_type.name == f"{method.name}Request"
            assert method.output_type.name == f"{method.name}Response"


def test_methods_between_services_are_repeatable_because_a_lost_call_is_made_once_more() -> None:
    between = [method for method in METHODS if method.policy.audience == I]
    assert between
    assert [method.path for method in between if not method.policy.repeatable] == []
