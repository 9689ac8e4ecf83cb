from google.protobuf import descriptor_pb2 as _descriptor_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class Permission(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PERMISSION_UNSPECIFIED: _ClassVar[Permission]
    PERMISSION_ROOM_JOIN: _ClassVar[Permission]
    PERMISSION_ROOM_LEAVE: _ClassVar[Permission]
    PERMISSION_ROOM_MEMBERS_ADD: _ClassVar[Permission]
    PERMISSION_ROOM_MEMBERS_REMOVE: _ClassVar[Permission]
    PERMISSION_ROOM_GET: _ClassVar[Permission]
    PERMISSION_ROOM_CREATE: _ClassVar[Permission]
    PERMISSION_ROOM_UPDATE: _ClassVar[Permission]
    PERMISSION_ROOM_DELETE: _ClassVar[Permission]
    PERMISSION_ROOM_MESSAGES_GET: _ClassVar[Permission]
    PERMISSION_ROOM_TYPING_INDICATOR_CREATE: _ClassVar[Permission]
    PERMISSION_MESSAGE_CREATE: _ClassVar[Permission]
    PERMISSION_MESSAGE_EDIT: _ClassVar[Permission]
    PERMISSION_MESSAGE_DELETE: _ClassVar[Permission]
    PERMISSION_MESSAGE_MODERATE: _ClassVar[Permission]
    PERMISSION_PRESENCE_SUBSCRIBE: _ClassVar[Permission]
    PERMISSION_USER_GET: _ClassVar[Permission]
    PERMISSION_USER_UPDATE: _ClassVar[Permission]
    PERMISSION_USER_ROOMS_GET: _ClassVar[Permission]
    PERMISSION_FILE_GET: _ClassVar[Permission]
    PERMISSION_FILE_CREATE: _ClassVar[Permission]
    PERMISSION_CURSORS_READ_GET: _ClassVar[Permission]
    PERMISSION_CURSORS_READ_SET: _ClassVar[Permission]
    PERMISSION_USER_SEARCH: _ClassVar[Permission]
PERMISSION_UNSPECIFIED: Permission
PERMISSION_ROOM_JOIN: Permission
PERMISSION_ROOM_LEAVE: Permission
PERMISSION_ROOM_MEMBERS_ADD: Permission
PERMISSION_ROOM_MEMBERS_REMOVE: Permission
PERMISSION_ROOM_GET: Permission
PERMISSION_ROOM_CREATE: Permission
PERMISSION_ROOM_UPDATE: Permission
PERMISSION_ROOM_DELETE: Permission
PERMISSION_ROOM_MESSAGES_GET: Permission
PERMISSION_ROOM_TYPING_INDICATOR_CREATE: Permission
PERMISSION_MESSAGE_CREATE: Permission
PERMISSION_MESSAGE_EDIT: Permission
PERMISSION_MESSAGE_DELETE: Permission
PERMISSION_MESSAGE_MODERATE: Permission
PERMISSION_PRESENCE_SUBSCRIBE: Permission
PERMISSION_USER_GET: Permission
PERMISSION_USER_UPDATE: Permission
PERMISSION_USER_ROOMS_GET: Permission
PERMISSION_FILE_GET: Permission
PERMISSION_FILE_CREATE: Permission
PERMISSION_CURSORS_READ_GET: Permission
PERMISSION_CURSORS_READ_SET: Permission
PERMISSION_USER_SEARCH: Permission
PERMISSION_FIELD_NUMBER: _ClassVar[int]
permission: _descriptor.FieldDescriptor

class PermissionDefinition(_message.Message):
    __slots__ = ("name", "in_rooms", "in_default_role", "in_admin_role")
    NAME_FIELD_NUMBER: _ClassVar[int]
    IN_ROOMS_FIELD_NUMBER: _ClassVar[int]
    IN_DEFAULT_ROLE_FIELD_NUMBER: _ClassVar[int]
    IN_ADMIN_ROLE_FIELD_NUMBER: _ClassVar[int]
    name: str
    in_rooms: bool
    in_default_role: bool
    in_admin_role: bool
    def __init__(self, name: _Optional[str] = ..., in_rooms: _Optional[bool] = ..., in_default_role: _Optional[bool] = ..., in_admin_role: _Optional[bool] = ...) -> None: ...
