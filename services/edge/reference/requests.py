"""A request for every method, as the examples show it: in JSON, by the full name of the method.

They are about one small world, which is there before they are made: alice, who calls and is an admin, and bob are in
the room lobby, where alice has sent messages and has a file. What a test runs is what stands here.
"""

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]

_HELLO = [{"contentType": "text/plain", "content": "Hello"}]
_USERS, _PRESENCE = "chatkit.users.v1.UsersService", "chatkit.users.v1.PresenceService"
_ROOMS, _MEMBERSHIPS = "chatkit.rooms.v1.RoomsService", "chatkit.rooms.v1.MembershipsService"
_ROLES = "chatkit.rooms.v1.RolesService"
_MESSAGES, _READ_STATES = "chatkit.messages.v1.MessagesService", "chatkit.messages.v1.ReadStatesService"
_SYNC, _FILES = "chatkit.sync.v1.SyncService", "chatkit.files.v1.FilesService"

REQUESTS: Mapping[str, Json] = {
    f"{_USERS}.CreateUser": {"id": "dave", "name": "Dave"},
    f"{_USERS}.BatchCreateUsers": {"requests": [{"id": "erin", "name": "Erin"}, {"id": "frank", "name": "Frank"}]},
    f"{_USERS}.GetUser": {"userId": "bob"},
    f"{_USERS}.BatchGetUsers": {"userIds": ["alice", "bob"]},
    f"{_USERS}.ListUsers": {"pageSize": 10},
    f"{_USERS}.SearchUsers": {"prefix": "bo"},
    f"{_USERS}.UpdateUser": {"name": "Alice B."},
    f"{_USERS}.DeleteUser": {"userId": "greta"},
    f"{_USERS}.GetDeletion": {"deletionId": "user-deletion-id"},
    f"{_USERS}.ListDeletions": {"pageSize": 10},
    f"{_USERS}.ExportUser": {"userId": "bob"},
    f"{_PRESENCE}.SubscribePresence": {"online": True, "watchUserIds": ["bob"]},
    f"{_PRESENCE}.GetPresence": {"userIds": ["bob"]},
    f"{_ROOMS}.CreateRoom": {"id": "kitchen", "name": "Kitchen", "visibility": "VISIBILITY_PUBLIC"},
    f"{_ROOMS}.GetRoom": {"roomId": "lobby"},
    f"{_ROOMS}.GetMyPermissions": {"roomId": "lobby"},
    f"{_ROOMS}.GetOrCreateDirectRoom": {"otherUserId": "bob"},
    f"{_ROOMS}.ListRooms": {"pageSize": 10},
    f"{_ROOMS}.ListJoinableRooms": {"pageSize": 10},
    f"{_ROOMS}.ListUserRooms": {},
    f"{_ROOMS}.UpdateRoom": {"roomId": "lobby", "name": "The lobby"},
    f"{_ROOMS}.DeleteRoom": {"roomId": "attic"},
    f"{_ROOMS}.GetDeletion": {"deletionId": "room-deletion-id"},
    f"{_ROOMS}.ListDeletions": {"pageSize": 10},
    f"{_ROOMS}.SubscribeUser": {},
    f"{_MEMBERSHIPS}.JoinRoom": {"roomId": "garden"},
    f"{_MEMBERSHIPS}.LeaveRoom": {"roomId": "cellar"},
    f"{_MEMBERSHIPS}.AddMembers": {"roomId": "lobby", "userIds": ["carol"]},
    f"{_MEMBERSHIPS}.RemoveMembers": {"roomId": "lobby", "userIds": ["carol"]},
    f"{_MEMBERSHIPS}.ListMembers": {"roomId": "lobby"},
    f"{_ROLES}.CreateRole": {"scope": "ROLE_SCOPE_ROOM", "name": "moderator", "permissions": ["room:update"]},
    f"{_ROLES}.GetRole": {"scope": "ROLE_SCOPE_ROOM", "name": "guide"},
    f"{_ROLES}.ListRoles": {},
    f"{_ROLES}.UpdateRole": {"scope": "ROLE_SCOPE_ROOM", "name": "guide", "addPermissions": ["file:get"]},
    f"{_ROLES}.DeleteRole": {"scope": "ROLE_SCOPE_ROOM", "name": "visitor"},
    f"{_ROLES}.AssignRole": {"userId": "bob", "roleName": "guide", "roomId": "lobby"},
    f"{_ROLES}.UnassignRole": {"userId": "bob", "roomId": "lobby"},
    f"{_ROLES}.ListUserRoles": {"userId": "bob"},
    f"{_MESSAGES}.SendMessage": {"roomId": "lobby", "parts": _HELLO, "requestId": "hello-1"},
    f"{_MESSAGES}.BatchSendMessages": {
        "requests": [{"roomId": "lobby", "senderId": "alice", "parts": _HELLO, "requestId": "hello-2"}]
    },
    f"{_MESSAGES}.SendMessages": {"requests": [{"roomId": "lobby", "parts": _HELLO, "requestId": "hello-3"}]},
    f"{_MESSAGES}.EditMessage": {"roomId": "lobby", "seq": "1", "parts": _HELLO},
    f"{_MESSAGES}.DeleteMessage": {"roomId": "lobby", "seq": "2"},
    f"{_MESSAGES}.GetMessage": {"roomId": "lobby", "seq": "1"},
    f"{_MESSAGES}.BatchGetMessages": {"roomId": "lobby", "seqs": ["1", "2"]},
    f"{_MESSAGES}.ListMessages": {"roomId": "lobby", "pageSize": 20},
    f"{_MESSAGES}.ListRoomEvents": {"roomId": "lobby"},
    f"{_MESSAGES}.SubscribeRoom": {"roomId": "lobby", "last": 20},
    f"{_MESSAGES}.SubscribeRooms": {"followMemberships": True},
    f"{_MESSAGES}.SendTyping": {"roomId": "lobby"},
    f"{_READ_STATES}.SetReadCursor": {"roomId": "lobby", "seq": "1"},
    f"{_READ_STATES}.GetReadCursor": {"roomId": "lobby", "userId": "bob"},
    f"{_READ_STATES}.ListReadCursors": {"roomId": "lobby"},
    f"{_READ_STATES}.ListReadStates": {},
    f"{_READ_STATES}.GetUnreadTotal": {},
    f"{_READ_STATES}.ListRoomSummaries": {},
    f"{_SYNC}.Subscribe": {"followMemberships": True, "user": {}},
    f"{_SYNC}.UpdateSubscription": {"streamId": "stream-id", "watchUserIds": ["bob"]},
    f"{_SYNC}.RenewToken": {"streamId": "stream-id"},
    f"{_FILES}.CreateFile": {
        "roomId": "lobby",
        "name": "note.txt",
        "contentType": "text/plain",
        "sizeBytes": "5",
        "requestId": "note-1",
    },
    f"{_FILES}.UploadFile": {"roomId": "lobby", "fileId": "new-file-id", "chunk": "SGVsbG8="},
    f"{_FILES}.GetFile": {"roomId": "lobby", "fileId": "file-id"},
    f"{_FILES}.BatchGetFiles": {"fileIds": ["file-id"]},
    f"{_FILES}.DownloadFile": {"roomId": "lobby", "fileId": "file-id"},
    f"{_FILES}.ListFiles": {"roomId": "lobby"},
    f"{_FILES}.DeleteFile": {"roomId": "lobby", "fileId": "old-file-id"},
}
