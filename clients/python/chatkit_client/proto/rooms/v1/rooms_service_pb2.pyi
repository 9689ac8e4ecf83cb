from chatkit_client.proto.contract.v1 import deletion_pb2 as _deletion_pb2
from chatkit_client.proto.contract.v1 import field_policy_pb2 as _field_policy_pb2
from chatkit_client.proto.contract.v1 import method_policy_pb2 as _method_policy_pb2
from chatkit_client.proto.rooms.v1 import membership_pb2 as _membership_pb2
from chatkit_client.proto.rooms.v1 import room_pb2 as _room_pb2
from chatkit_client.proto.rooms.v1 import user_event_pb2 as _user_event_pb2
from chatkit_client.proto.rooms.v1 import user_position_pb2 as _user_position_pb2
from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CreateRoomRequest(_message.Message):
    __slots__ = ("id", "name", "visibility", "custom_data", "creator_id", "user_ids", "request_id", "push_notification_title_override", "retention_days")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VISIBILITY_FIELD_NUMBER: _ClassVar[int]
    CUSTOM_DATA_FIELD_NUMBER: _ClassVar[int]
    CREATOR_ID_FIELD_NUMBER: _ClassVar[int]
    USER_IDS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    PUSH_NOTIFICATION_TITLE_OVERRIDE_FIELD_NUMBER: _ClassVar[int]
    RETENTION_DAYS_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    visibility: _room_pb2.Visibility
    custom_data: _struct_pb2.Struct
    creator_id: str
    user_ids: _containers.RepeatedScalarFieldContainer[str]
    request_id: str
    push_notification_title_override: str
    retention_days: int
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., visibility: _Optional[_Union[_room_pb2.Visibility, str]] = ..., custom_data: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., creator_id: _Optional[str] = ..., user_ids: _Optional[_Iterable[str]] = ..., request_id: _Optional[str] = ..., push_notification_title_override: _Optional[str] = ..., retention_days: _Optional[int] = ...) -> None: ...

class CreateRoomResponse(_message.Message):
    __slots__ = ("room", "membership")
    ROOM_FIELD_NUMBER: _ClassVar[int]
    MEMBERSHIP_FIELD_NUMBER: _ClassVar[int]
    room: _room_pb2.Room
    membership: _membership_pb2.Membership
    def __init__(self, room: _Optional[_Union[_room_pb2.Room, _Mapping]] = ..., membership: _Optional[_Union[_membership_pb2.Membership, _Mapping]] = ...) -> None: ...

class GetRoomRequest(_message.Message):
    __slots__ = ("room_id",)
    ROOM_ID_FIELD_NUMBER: _ClassVar[int]
    room_id: str
    def __init__(self, room_id: _Optional[str] = ...) -> None: ...

class GetRoomResponse(_message.Message):
    __slots__ = ("room", "membership")
    ROOM_FIELD_NUMBER: _ClassVar[int]
    MEMBERSHIP_FIELD_NUMBER: _ClassVar[int]
    room: _room_pb2.Room
    membership: _membership_pb2.Membership
    def __init__(self, room: _Optional[_Union[_room_pb2.Room, _Mapping]] = ..., membership: _Optional[_Union[_membership_pb2.Membership, _Mapping]] = ...) -> None: ...

class GetMyPermissionsRequest(_message.Message):
    __slots__ = ("room_id", "user_id")
    ROOM_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    room_id: str
    user_id: str
    def __init__(self, room_id: _Optional[str] = ..., user_id: _Optional[str] = ...) -> None: ...

class GetMyPermissionsResponse(_message.Message):
    __slots__ = ("permissions", "is_member")
    PERMISSIONS_FIELD_NUMBER: _ClassVar[int]
    IS_MEMBER_FIELD_NUMBER: _ClassVar[int]
    permissions: _containers.RepeatedScalarFieldContainer[str]
    is_member: bool
    def __init__(self, permissions: _Optional[_Iterable[str]] = ..., is_member: _Optional[bool] = ...) -> None: ...

class GetOrCreateDirectRoomRequest(_message.Message):
    __slots__ = ("user_id", "other_user_id")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    OTHER_USER_ID_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    other_user_id: str
    def __init__(self, user_id: _Optional[str] = ..., other_user_id: _Optional[str] = ...) -> None: ...

class GetOrCreateDirectRoomResponse(_message.Message):
    __slots__ = ("room", "membership")
    ROOM_FIELD_NUMBER: _ClassVar[int]
    MEMBERSHIP_FIELD_NUMBER: _ClassVar[int]
    room: _room_pb2.Room
    membership: _membership_pb2.Membership
    def __init__(self, room: _Optional[_Union[_room_pb2.Room, _Mapping]] = ..., membership: _Optional[_Union[_membership_pb2.Membership, _Mapping]] = ...) -> None: ...

class ListRoomsRequest(_message.Message):
    __slots__ = ("after_room_id", "include_private", "page_size", "page_token")
    AFTER_ROOM_ID_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_PRIVATE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    after_room_id: str
    include_private: bool
    page_size: int
    page_token: str
    def __init__(self, after_room_id: _Optional[str] = ..., include_private: _Optional[bool] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListRoomsResponse(_message.Message):
    __slots__ = ("rooms", "next_page_token")
    ROOMS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    rooms: _containers.RepeatedCompositeFieldContainer[_room_pb2.Room]
    next_page_token: str
    def __init__(self, rooms: _Optional[_Iterable[_Union[_room_pb2.Room, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListJoinableRoomsRequest(_message.Message):
    __slots__ = ("user_id", "page_size", "page_token")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    page_size: int
    page_token: str
    def __init__(self, user_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListJoinableRoomsResponse(_message.Message):
    __slots__ = ("rooms", "memberships", "next_page_token")
    ROOMS_FIELD_NUMBER: _ClassVar[int]
    MEMBERSHIPS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    rooms: _containers.RepeatedCompositeFieldContainer[_room_pb2.Room]
    memberships: _containers.RepeatedCompositeFieldContainer[_membership_pb2.Membership]
    next_page_token: str
    def __init__(self, rooms: _Optional[_Iterable[_Union[_room_pb2.Room, _Mapping]]] = ..., memberships: _Optional[_Iterable[_Union[_membership_pb2.Membership, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListUserRoomsRequest(_message.Message):
    __slots__ = ("user_id", "page_size", "page_token")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    page_size: int
    page_token: str
    def __init__(self, user_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListUserRoomsResponse(_message.Message):
    __slots__ = ("rooms", "memberships", "next_page_token")
    ROOMS_FIELD_NUMBER: _ClassVar[int]
    MEMBERSHIPS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    rooms: _containers.RepeatedCompositeFieldContainer[_room_pb2.Room]
    memberships: _containers.RepeatedCompositeFieldContainer[_membership_pb2.Membership]
    next_page_token: str
    def __init__(self, rooms: _Optional[_Iterable[_Union[_room_pb2.Room, _Mapping]]] = ..., memberships: _Optional[_Iterable[_Union[_membership_pb2.Membership, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateRoomRequest(_message.Message):
    __slots__ = ("room_id", "name", "visibility", "custom_data", "update_mask", "etag", "push_notification_title_override", "retention_days")
    ROOM_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VISIBILITY_FIELD_NUMBER: _ClassVar[int]
    CUSTOM_DATA_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    PUSH_NOTIFICATION_TITLE_OVERRIDE_FIELD_NUMBER: _ClassVar[int]
    RETENTION_DAYS_FIELD_NUMBER: _ClassVar[int]
    room_id: str
    name: str
    visibility: _room_pb2.Visibility
    custom_data: _struct_pb2.Struct
    update_mask: _field_mask_pb2.FieldMask
    etag: str
    push_notification_title_override: str
    retention_days: int
    def __init__(self, room_id: _Optional[str] = ..., name: _Optional[str] = ..., visibility: _Optional[_Union[_room_pb2.Visibility, str]] = ..., custom_data: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., etag: _Optional[str] = ..., push_notification_title_override: _Optional[str] = ..., retention_days: _Optional[int] = ...) -> None: ...

class UpdateRoomResponse(_message.Message):
    __slots__ = ("room",)
    ROOM_FIELD_NUMBER: _ClassVar[int]
    room: _room_pb2.Room
    def __init__(self, room: _Optional[_Union[_room_pb2.Room, _Mapping]] = ...) -> None: ...

class DeleteRoomRequest(_message.Message):
    __slots__ = ("room_id",)
    ROOM_ID_FIELD_NUMBER: _ClassVar[int]
    room_id: str
    def __init__(self, room_id: _Optional[str] = ...) -> None: ...

class DeleteRoomResponse(_message.Message):
    __slots__ = ("deletion",)
    DELETION_FIELD_NUMBER: _ClassVar[int]
    deletion: _deletion_pb2.Deletion
    def __init__(self, deletion: _Optional[_Union[_deletion_pb2.Deletion, _Mapping]] = ...) -> None: ...

class GetDeletionRequest(_message.Message):
    __slots__ = ("deletion_id",)
    DELETION_ID_FIELD_NUMBER: _ClassVar[int]
    deletion_id: str
    def __init__(self, deletion_id: _Optional[str] = ...) -> None: ...

class GetDeletionResponse(_message.Message):
    __slots__ = ("deletion",)
    DELETION_FIELD_NUMBER: _ClassVar[int]
    deletion: _deletion_pb2.Deletion
    def __init__(self, deletion: _Optional[_Union[_deletion_pb2.Deletion, _Mapping]] = ...) -> None: ...

class ListDeletionsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListDeletionsResponse(_message.Message):
    __slots__ = ("deletions", "next_page_token")
    DELETIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    deletions: _containers.RepeatedCompositeFieldContainer[_deletion_pb2.Deletion]
    next_page_token: str
    def __init__(self, deletions: _Optional[_Iterable[_Union[_deletion_pb2.Deletion, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class SubscribeUserRequest(_message.Message):
    __slots__ = ("user_id", "after")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    after: _user_position_pb2.UserPosition
    def __init__(self, user_id: _Optional[str] = ..., after: _Optional[_Union[_user_position_pb2.UserPosition, _Mapping]] = ...) -> None: ...

class SubscribeUserResponse(_message.Message):
    __slots__ = ("events",)
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[_user_event_pb2.UserEvent]
    def __init__(self, events: _Optional[_Iterable[_Union[_user_event_pb2.UserEvent, _Mapping]]] = ...) -> None: ...
