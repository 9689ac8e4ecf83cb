from chatkit.contract.v1 import error_reason_pb2 as _error_reason_pb2
from chatkit.contract.v1 import field_policy_pb2 as _field_policy_pb2
from chatkit.contract.v1 import method_policy_pb2 as _method_policy_pb2
from chatkit.rooms.v1 import role_pb2 as _role_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CheckAccessRequest(_message.Message):
    __slots__ = ("room_id", "user_id", "membership", "permission", "superuser")
    ROOM_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    MEMBERSHIP_FIELD_NUMBER: _ClassVar[int]
    PERMISSION_FIELD_NUMBER: _ClassVar[int]
    SUPERUSER_FIELD_NUMBER: _ClassVar[int]
    room_id: str
    user_id: str
    membership: _method_policy_pb2.Membership
    permission: str
    superuser: bool
    def __init__(self, room_id: _Optional[str] = ..., user_id: _Optional[str] = ..., membership: _Optional[_Union[_method_policy_pb2.Membership, str]] = ..., permission: _Optional[str] = ..., superuser: _Optional[bool] = ...) -> None: ...

class CheckAccessResponse(_message.Message):
    __slots__ = ("room_uid", "user_uid", "version", "roles", "tokens_after")
    ROOM_UID_FIELD_NUMBER: _ClassVar[int]
    USER_UID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    TOKENS_AFTER_FIELD_NUMBER: _ClassVar[int]
    room_uid: bytes
    user_uid: bytes
    version: int
    roles: _containers.RepeatedCompositeFieldContainer[RoleName]
    tokens_after: float
    def __init__(self, room_uid: _Optional[bytes] = ..., user_uid: _Optional[bytes] = ..., version: _Optional[int] = ..., roles: _Optional[_Iterable[_Union[RoleName, _Mapping]]] = ..., tokens_after: _Optional[float] = ...) -> None: ...

class BatchCheckAccessRequest(_message.Message):
    __slots__ = ("room_ids", "user_id", "membership", "permission", "superuser")
    ROOM_IDS_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    MEMBERSHIP_FIELD_NUMBER: _ClassVar[int]
    PERMISSION_FIELD_NUMBER: _ClassVar[int]
    SUPERUSER_FIELD_NUMBER: _ClassVar[int]
    room_ids: _containers.RepeatedScalarFieldContainer[str]
    user_id: str
    membership: _method_policy_pb2.Membership
    permission: str
    superuser: bool
    def __init__(self, room_ids: _Optional[_Iterable[str]] = ..., user_id: _Optional[str] = ..., membership: _Optional[_Union[_method_policy_pb2.Membership, str]] = ..., permission: _Optional[str] = ..., superuser: _Optional[bool] = ...) -> None: ...

class BatchCheckAccessResponse(_message.Message):
    __slots__ = ("answers",)
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    answers: _containers.RepeatedCompositeFieldContainer[AccessAnswer]
    def __init__(self, answers: _Optional[_Iterable[_Union[AccessAnswer, _Mapping]]] = ...) -> None: ...

class BatchCheckUsersRequest(_message.Message):
    __slots__ = ("user_ids", "permission")
    USER_IDS_FIELD_NUMBER: _ClassVar[int]
    PERMISSION_FIELD_NUMBER: _ClassVar[int]
    user_ids: _containers.RepeatedScalarFieldContainer[str]
    permission: str
    def __init__(self, user_ids: _Optional[_Iterable[str]] = ..., permission: _Optional[str] = ...) -> None: ...

class BatchCheckUsersResponse(_message.Message):
    __slots__ = ("answers",)
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    answers: _containers.RepeatedCompositeFieldContainer[AccessAnswer]
    def __init__(self, answers: _Optional[_Iterable[_Union[AccessAnswer, _Mapping]]] = ...) -> None: ...

class AccessAnswer(_message.Message):
    __slots__ = ("granted", "refusal")
    GRANTED_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    granted: CheckAccessResponse
    refusal: _error_reason_pb2.ErrorReason
    def __init__(self, granted: _Optional[_Union[CheckAccessResponse, _Mapping]] = ..., refusal: _Optional[_Union[_error_reason_pb2.ErrorReason, str]] = ...) -> None: ...

class ListRoomsOfRequest(_message.Message):
    __slots__ = ("user_id", "permission", "page_size", "page_token")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    PERMISSION_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    permission: str
    page_size: int
    page_token: str
    def __init__(self, user_id: _Optional[str] = ..., permission: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListRoomsOfResponse(_message.Message):
    __slots__ = ("rooms", "version", "next_page_token")
    ROOMS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    rooms: _containers.RepeatedCompositeFieldContainer[RoomOfUser]
    version: int
    next_page_token: str
    def __init__(self, rooms: _Optional[_Iterable[_Union[RoomOfUser, _Mapping]]] = ..., version: _Optional[int] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class RoomOfUser(_message.Message):
    __slots__ = ("room_id", "room_uid", "user_uid")
    ROOM_ID_FIELD_NUMBER: _ClassVar[int]
    ROOM_UID_FIELD_NUMBER: _ClassVar[int]
    USER_UID_FIELD_NUMBER: _ClassVar[int]
    room_id: str
    room_uid: bytes
    user_uid: bytes
    def __init__(self, room_id: _Optional[str] = ..., room_uid: _Optional[bytes] = ..., user_uid: _Optional[bytes] = ...) -> None: ...

class FilterMembersRequest(_message.Message):
    __slots__ = ("room_id", "user_ids")
    ROOM_ID_FIELD_NUMBER: _ClassVar[int]
    USER_IDS_FIELD_NUMBER: _ClassVar[int]
    room_id: str
    user_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, room_id: _Optional[str] = ..., user_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class FilterMembersResponse(_message.Message):
    __slots__ = ("user_uids",)
    USER_UIDS_FIELD_NUMBER: _ClassVar[int]
    user_uids: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, user_uids: _Optional[_Iterable[bytes]] = ...) -> None: ...

class BatchFilterMembersRequest(_message.Message):
    __slots__ = ("rooms",)
    ROOMS_FIELD_NUMBER: _ClassVar[int]
    rooms: _containers.RepeatedCompositeFieldContainer[UsersOfRoom]
    def __init__(self, rooms: _Optional[_Iterable[_Union[UsersOfRoom, _Mapping]]] = ...) -> None: ...

class BatchFilterMembersResponse(_message.Message):
    __slots__ = ("rooms",)
    ROOMS_FIELD_NUMBER: _ClassVar[int]
    rooms: _containers.RepeatedCompositeFieldContainer[UsersOfRoom]
    def __init__(self, rooms: _Optional[_Iterable[_Union[UsersOfRoom, _Mapping]]] = ...) -> None: ...

class UsersOfRoom(_message.Message):
    __slots__ = ("room_uid", "user_uids")
    ROOM_UID_FIELD_NUMBER: _ClassVar[int]
    USER_UIDS_FIELD_NUMBER: _ClassVar[int]
    room_uid: bytes
    user_uids: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, room_uid: _Optional[bytes] = ..., user_uids: _Optional[_Iterable[bytes]] = ...) -> None: ...

class RoleName(_message.Message):
    __slots__ = ("scope", "name")
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    scope: _role_pb2.RoleScope
    name: str
    def __init__(self, scope: _Optional[_Union[_role_pb2.RoleScope, str]] = ..., name: _Optional[str] = ...) -> None: ...

class WatchAccessRequest(_message.Message):
    __slots__ = ("after_version", "epoch")
    AFTER_VERSION_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    after_version: int
    epoch: str
    def __init__(self, after_version: _Optional[int] = ..., epoch: _Optional[str] = ...) -> None: ...

class WatchAccessResponse(_message.Message):
    __slots__ = ("events",)
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[AccessEvent]
    def __init__(self, events: _Optional[_Iterable[_Union[AccessEvent, _Mapping]]] = ...) -> None: ...

class AccessEvent(_message.Message):
    __slots__ = ("version", "reset", "heartbeat", "member_added", "member_removed", "role_assigned", "role_changed", "room_updated", "room_deleted")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    RESET_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    MEMBER_ADDED_FIELD_NUMBER: _ClassVar[int]
    MEMBER_REMOVED_FIELD_NUMBER: _ClassVar[int]
    ROLE_ASSIGNED_FIELD_NUMBER: _ClassVar[int]
    ROLE_CHANGED_FIELD_NUMBER: _ClassVar[int]
    ROOM_UPDATED_FIELD_NUMBER: _ClassVar[int]
    ROOM_DELETED_FIELD_NUMBER: _ClassVar[int]
    version: int
    reset: AccessReset
    heartbeat: AccessHeartbeat
    member_added: MemberChange
    member_removed: MemberChange
    role_assigned: RoleAssignment
    role_changed: RoleName
    room_updated: RoomChange
    room_deleted: RoomChange
    def __init__(self, version: _Optional[int] = ..., reset: _Optional[_Union[AccessReset, _Mapping]] = ..., heartbeat: _Optional[_Union[AccessHeartbeat, _Mapping]] = ..., member_added: _Optional[_Union[MemberChange, _Mapping]] = ..., member_removed: _Optional[_Union[MemberChange, _Mapping]] = ..., role_assigned: _Optional[_Union[RoleAssignment, _Mapping]] = ..., role_changed: _Optional[_Union[RoleName, _Mapping]] = ..., room_updated: _Optional[_Union[RoomChange, _Mapping]] = ..., room_deleted: _Optional[_Union[RoomChange, _Mapping]] = ...) -> None: ...

class AccessReset(_message.Message):
    __slots__ = ("epoch",)
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    epoch: str
    def __init__(self, epoch: _Optional[str] = ...) -> None: ...

class AccessHeartbeat(_message.Message):
    __slots__ = ("elapsed_ms", "epoch")
    ELAPSED_MS_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    elapsed_ms: int
    epoch: str
    def __init__(self, elapsed_ms: _Optional[int] = ..., epoch: _Optional[str] = ...) -> None: ...

class MemberChange(_message.Message):
    __slots__ = ("room_uid", "user_uid", "user_id", "room_id")
    ROOM_UID_FIELD_NUMBER: _ClassVar[int]
    USER_UID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    ROOM_ID_FIELD_NUMBER: _ClassVar[int]
    room_uid: bytes
    user_uid: bytes
    user_id: str
    room_id: str
    def __init__(self, room_uid: _Optional[bytes] = ..., user_uid: _Optional[bytes] = ..., user_id: _Optional[str] = ..., room_id: _Optional[str] = ...) -> None: ...

class RoomChange(_message.Message):
    __slots__ = ("room_uid",)
    ROOM_UID_FIELD_NUMBER: _ClassVar[int]
    room_uid: bytes
    def __init__(self, room_uid: _Optional[bytes] = ...) -> None: ...

class RoleAssignment(_message.Message):
    __slots__ = ("user_id", "user_uid", "room_uid")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    USER_UID_FIELD_NUMBER: _ClassVar[int]
    ROOM_UID_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    user_uid: bytes
    room_uid: bytes
    def __init__(self, user_id: _Optional[str] = ..., user_uid: _Optional[bytes] = ..., room_uid: _Optional[bytes] = ...) -> None: ...
