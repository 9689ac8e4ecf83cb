"""For every method a request that succeeds when the caller may make it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from chatkit.files.v1 import files_service_pb2 as files_pb2
from chatkit.messages.v1 import messages_service_pb2 as messages_pb2
from chatkit.messages.v1 import part_pb2, room_subscription_pb2
from chatkit.messages.v1 import read_states_service_pb2 as read_states_pb2
from chatkit.rooms.v1 import memberships_service_pb2 as memberships_pb2
from chatkit.rooms.v1 import role_pb2, roles_service_pb2, rooms_service_pb2
from chatkit.sync.v1 import sync_service_pb2 as sync_pb2
from chatkit.users.v1 import presence_service_pb2 as presence_pb2
from chatkit.users.v1 import users_service_pb2 as users_pb2
from google.protobuf.message import Message


@dataclass(frozen=True)
class Place:
    """What a request may name, all of it there and used by no other cell of the matrix."""

    # A room with a message of its owner's or of the caller's, and two of its members beside the caller.
    room_id: str
    owner_id: str
    member_id: str
    # A user who is no member, and whom requests of superusers act for.
    stranger_id: str
    # A word that nothing else is called by.
    new_id: str
    # A role of room scope that nobody has.
    role_name: str
    seq: int = 1
    # A file that is the caller's, with CONTENT; and one without.
    file_id: str = ""
    pending_file_id: str = ""
    # A deletion that somebody else has asked for.
    deletion_id: str = ""
    # A stream of the caller's, or of the one for whom a superuser calls, and its call, which ends with this.
    stream_id: str = ""
    stream: Any = None


CONTENT = b"x"


_ROOM_SCOPE = role_pb2.ROLE_SCOPE_ROOM


def _part() -> part_pb2.Part:
    return part_pb2.Part(content_type="text/plain", content="hello")


REQUESTS: Mapping[str, Callable[[Place], Message]] = {
    "UsersService/CreateUser": lambda at: users_pb2.CreateUserRequest(id=at.new_id, name="New"),
    "UsersService/BatchCreateUsers": lambda at: users_pb2.BatchCreateUsersRequest(
        requests=[users_pb2.CreateUserRequest(id=at.new_id, name="New")]
    ),
    "UsersService/GetUser": lambda at: users_pb2.GetUserRequest(user_id=at.owner_id),
    "UsersService/BatchGetUsers": lambda at: users_pb2.BatchGetUsersRequest(user_ids=[at.owner_id]),
    "UsersService/ListUsers": lambda _: users_pb2.ListUsersRequest(page_size=1),
    "UsersService/SearchUsers": lambda _: users_pb2.SearchUsersRequest(prefix="owner"),
    "UsersService/UpdateUser": lambda _: users_pb2.UpdateUserRequest(name="Other"),
    "UsersService/DeleteUser": lambda at: users_pb2.DeleteUserRequest(user_id=at.new_id),
    "UsersService/GetDeletion": lambda at: users_pb2.GetDeletionRequest(deletion_id=at.deletion_id),
    "UsersService/ListDeletions": lambda _: users_pb2.ListDeletionsRequest(page_size=1),
    "UsersService/ExportUser": lambda at: users_pb2.ExportUserRequest(user_id=at.member_id),
    "PresenceService/SubscribePresence": lambda at: presence_pb2.SubscribePresenceRequest(
        online=True, watch_user_ids=[at.member_id]
    ),
    "PresenceService/GetPresence": lambda at: presence_pb2.GetPresenceRequest(user_ids=[at.member_id]),
    "RoomsService/CreateRoom": lambda at: rooms_service_pb2.CreateRoomRequest(
        id=at.new_id, name="New", visibility="VISIBILITY_PUBLIC"
    ),
    "RoomsService/GetOrCreateDirectRoom": lambda at: rooms_service_pb2.GetOrCreateDirectRoomRequest(
        other_user_id=at.member_id
    ),
    "RoomsService/ListRooms": lambda _: rooms_service_pb2.ListRoomsRequest(page_size=1),
    "RoomsService/ListJoinableRooms": lambda _: rooms_service_pb2.ListJoinableRoomsRequest(page_size=1),
    "RoomsService/GetRoom": lambda at: rooms_service_pb2.GetRoomRequest(room_id=at.room_id),
    "RoomsService/GetMyPermissions": lambda at: rooms_service_pb2.GetMyPermissionsRequest(room_id=at.room_id),
    "RoomsService/ListUserRooms": lambda _: rooms_service_pb2.ListUserRoomsRequest(),
    "RoomsService/SubscribeUser": lambda _: rooms_service_pb2.SubscribeUserRequest(),
    "RoomsService/UpdateRoom": lambda at: rooms_service_pb2.UpdateRoomRequest(room_id=at.room_id, name="Other"),
    "RoomsService/DeleteRoom": lambda at: rooms_service_pb2.DeleteRoomRequest(room_id=at.room_id),
    "RoomsService/GetDeletion": lambda at: rooms_service_pb2.GetDeletionRequest(deletion_id=at.deletion_id),
    "RoomsService/ListDeletions": lambda _: rooms_service_pb2.ListDeletionsRequest(page_size=1),
    "MembershipsService/JoinRoom": lambda at: memberships_pb2.JoinRoomRequest(room_id=at.room_id),
    "MembershipsService/LeaveRoom": lambda at: memberships_pb2.LeaveRoomRequest(room_id=at.room_id),
    "MembershipsService/AddMembers": lambda at: memberships_pb2.AddMembersRequest(
        room_id=at.room_id, user_ids=[at.stranger_id]
    ),
    "MembershipsService/RemoveMembers": lambda at: memberships_pb2.RemoveMembersRequest(
        room_id=at.room_id, user_ids=[at.member_id]
    ),
    "MembershipsService/ListMembers": lambda at: memberships_pb2.ListMembersRequest(room_id=at.room_id),
    "RolesService/CreateRole": lambda at: roles_service_pb2.CreateRoleRequest(scope=_ROOM_SCOPE, name=at.new_id),
    "RolesService/GetRole": lambda at: roles_service_pb2.GetRoleRequest(scope=_ROOM_SCOPE, name=at.role_name),
    "RolesService/ListRoles": lambda _: roles_service_pb2.ListRolesRequest(),
    "RolesService/UpdateRole": lambda at: roles_service_pb2.UpdateRoleRequest(
        scope=_ROOM_SCOPE, name=at.role_name, add_permissions=["file:get"]
    ),
    "RolesService/DeleteRole": lambda at: roles_service_pb2.DeleteRoleRequest(scope=_ROOM_SCOPE, name=at.role_name),
    "RolesService/AssignRole": lambda at: roles_service_pb2.AssignRoleRequest(
        user_id=at.member_id, room_id=at.room_id, role_name=at.role_name
    ),
    "RolesService/UnassignRole": lambda at: roles_service_pb2.UnassignRoleRequest(
        user_id=at.member_id, room_id=at.room_id
    ),
    "RolesService/ListUserRoles": lambda at: roles_service_pb2.ListUserRolesRequest(user_id=at.member_id),
    "MessagesService/SendMessage": lambda at: messages_pb2.SendMessageRequest(
        room_id=at.room_id, parts=[_part()], request_id=at.new_id
    ),
    "MessagesService/BatchSendMessages": lambda at: messages_pb2.BatchSendMessagesRequest(
        requests=[
            messages_pb2.SendMessageRequest(
                room_id=at.room_id, sender_id=at.stranger_id, parts=[_part()], request_id=at.new_id
            )
        ]
    ),
    "MessagesService/SendMessages": lambda at: messages_pb2.SendMessagesRequest(
        requests=[messages_pb2.SendMessageRequest(room_id=at.room_id, parts=[_part()], request_id=at.new_id)]
    ),
    "MessagesService/EditMessage": lambda at: messages_pb2.EditMessageRequest(
        room_id=at.room_id, seq=at.seq, parts=[_part()]
    ),
    "MessagesService/DeleteMessage": lambda at: messages_pb2.DeleteMessageRequest(room_id=at.room_id, seq=at.seq),
    "MessagesService/GetMessage": lambda at: messages_pb2.GetMessageRequest(room_id=at.room_id, seq=at.seq),
    "MessagesService/BatchGetMessages": lambda at: messages_pb2.BatchGetMessagesRequest(
        room_id=at.room_id, seqs=[at.seq]
    ),
    "MessagesService/ListMessages": lambda at: messages_pb2.ListMessagesRequest(room_id=at.room_id),
    "MessagesService/ListRoomEvents": lambda at: messages_pb2.ListRoomEventsRequest(room_id=at.room_id),
    "MessagesService/SubscribeRoom": lambda at: messages_pb2.SubscribeRoomRequest(room_id=at.room_id),
    "MessagesService/SubscribeRooms": lambda at: messages_pb2.SubscribeRoomsRequest(
        rooms=[room_subscription_pb2.RoomSubscription(room_id=at.room_id)]
    ),
    "MessagesService/SendTyping": lambda at: messages_pb2.SendTypingRequest(room_id=at.room_id),
    "SyncService/Subscribe": lambda at: sync_pb2.SubscribeRequest(rooms=[{"room_id": at.room_id}]),
    "SyncService/UpdateSubscription": lambda at: sync_pb2.UpdateSubscriptionRequest(
        stream_id=at.stream_id, unfollow_room_ids=[at.room_id]
    ),
    "SyncService/RenewToken": lambda at: sync_pb2.RenewTokenRequest(stream_id=at.stream_id),
    "ReadStatesService/SetReadCursor": lambda at: read_states_pb2.SetReadCursorRequest(room_id=at.room_id, seq=at.seq),
    "ReadStatesService/GetReadCursor": lambda at: read_states_pb2.GetReadCursorRequest(
        room_id=at.room_id, user_id=at.owner_id
    ),
    "ReadStatesService/ListReadCursors": lambda at: read_states_pb2.ListReadCursorsRequest(room_id=at.room_id),
    "ReadStatesService/GetUnreadTotal": lambda _: read_states_pb2.GetUnreadTotalRequest(),
    "ReadStatesService/ListRoomSummaries": lambda _: read_states_pb2.ListRoomSummariesRequest(),
    "ReadStatesService/ListReadStates": lambda at: read_states_pb2.ListReadStatesRequest(room_id=at.room_id),
    "FilesService/CreateFile": lambda at: files_pb2.CreateFileRequest(
        room_id=at.room_id, content_type="text/plain", size_bytes=len(CONTENT), request_id=at.new_id
    ),
    "FilesService/UploadFile": lambda at: files_pb2.UploadFileRequest(
        room_id=at.room_id, file_id=at.pending_file_id, chunk=CONTENT
    ),
    "FilesService/GetFile": lambda at: files_pb2.GetFileRequest(room_id=at.room_id, file_id=at.file_id),
    "FilesService/BatchGetFiles": lambda at: files_pb2.BatchGetFilesRequest(file_ids=[at.file_id]),
    "FilesService/DownloadFile": lambda at: files_pb2.DownloadFileRequest(room_id=at.room_id, file_id=at.file_id),
    "FilesService/ListFiles": lambda at: files_pb2.ListFilesRequest(room_id=at.room_id),
    "FilesService/DeleteFile": lambda at: files_pb2.DeleteFileRequest(room_id=at.room_id, file_id=at.file_id),
}


def request_of(method: Any, at: Place, *, acts_for_another: bool) -> Message:
    """Return the request for a method; whoever is nobody in particular names a user to act for."""
    build = REQUESTS.get(method.path.removeprefix("/").rpartition("v1.")[2])
    request = build(at) if build is not None else method.request_class()
    if acts_for_another and method.policy.self_field:
        setattr(request, method.policy.self_field, at.stranger_id)
    if acts_for_another and isinstance(request, messages_pb2.SendMessagesRequest):
        request.requests[0].sender_id = at.stranger_id
    return request
