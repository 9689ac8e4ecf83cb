from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RoleScope(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROLE_SCOPE_UNSPECIFIED: _ClassVar[RoleScope]
    ROLE_SCOPE_GLOBAL: _ClassVar[RoleScope]
    ROLE_SCOPE_ROOM: _ClassVar[RoleScope]
ROLE_SCOPE_UNSPECIFIED: RoleScope
ROLE_SCOPE_GLOBAL: RoleScope
ROLE_SCOPE_ROOM: RoleScope

class Role(_message.Message):
    __slots__ = ("scope", "name", "permissions")
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PERMISSIONS_FIELD_NUMBER: _ClassVar[int]
    scope: RoleScope
    name: str
    permissions: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, scope: _Optional[_Union[RoleScope, str]] = ..., name: _Optional[str] = ..., permissions: _Optional[_Iterable[str]] = ...) -> None: ...

class AssignedRole(_message.Message):
    __slots__ = ("role", "room_id")
    ROLE_FIELD_NUMBER: _ClassVar[int]
    ROOM_ID_FIELD_NUMBER: _ClassVar[int]
    role: Role
    room_id: str
    def __init__(self, role: _Optional[_Union[Role, _Mapping]] = ..., room_id: _Optional[str] = ...) -> None: ...
