from chatkit_client.proto.contract.v1 import field_policy_pb2 as _field_policy_pb2
from chatkit_client.proto.contract.v1 import method_policy_pb2 as _method_policy_pb2
from chatkit_client.proto.rooms.v1 import role_pb2 as _role_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CreateRoleRequest(_message.Message):
    __slots__ = ("scope", "name", "permissions")
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PERMISSIONS_FIELD_NUMBER: _ClassVar[int]
    scope: _role_pb2.RoleScope
    name: str
    permissions: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, scope: _Optional[_Union[_role_pb2.RoleScope, str]] = ..., name: _Optional[str] = ..., permissions: _Optional[_Iterable[str]] = ...) -> None: ...

class CreateRoleResponse(_message.Message):
    __slots__ = ("role",)
    ROLE_FIELD_NUMBER: _ClassVar[int]
    role: _role_pb2.Role
    def __init__(self, role: _Optional[_Union[_role_pb2.Role, _Mapping]] = ...) -> None: ...

class GetRoleRequest(_message.Message):
    __slots__ = ("scope", "name")
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    scope: _role_pb2.RoleScope
    name: str
    def __init__(self, scope: _Optional[_Union[_role_pb2.RoleScope, str]] = ..., name: _Optional[str] = ...) -> None: ...

class GetRoleResponse(_message.Message):
    __slots__ = ("role",)
    ROLE_FIELD_NUMBER: _ClassVar[int]
    role: _role_pb2.Role
    def __init__(self, role: _Optional[_Union[_role_pb2.Role, _Mapping]] = ...) -> None: ...

class ListRolesRequest(_message.Message):
    __slots__ = ("scope", "page_size", "page_token")
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    scope: _role_pb2.RoleScope
    page_size: int
    page_token: str
    def __init__(self, scope: _Optional[_Union[_role_pb2.RoleScope, str]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListRolesResponse(_message.Message):
    __slots__ = ("roles", "next_page_token")
    ROLES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    roles: _containers.RepeatedCompositeFieldContainer[_role_pb2.Role]
    next_page_token: str
    def __init__(self, roles: _Optional[_Iterable[_Union[_role_pb2.Role, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateRoleRequest(_message.Message):
    __slots__ = ("scope", "name", "add_permissions", "remove_permissions")
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ADD_PERMISSIONS_FIELD_NUMBER: _ClassVar[int]
    REMOVE_PERMISSIONS_FIELD_NUMBER: _ClassVar[int]
    scope: _role_pb2.RoleScope
    name: str
    add_permissions: _containers.RepeatedScalarFieldContainer[str]
    remove_permissions: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, scope: _Optional[_Union[_role_pb2.RoleScope, str]] = ..., name: _Optional[str] = ..., add_permissions: _Optional[_Iterable[str]] = ..., remove_permissions: _Optional[_Iterable[str]] = ...) -> None: ...

class UpdateRoleResponse(_message.Message):
    __slots__ = ("role",)
    ROLE_FIELD_NUMBER: _ClassVar[int]
    role: _role_pb2.Role
    def __init__(self, role: _Optional[_Union[_role_pb2.Role, _Mapping]] = ...) -> None: ...

class DeleteRoleRequest(_message.Message):
    __slots__ = ("scope", "name")
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    scope: _role_pb2.RoleScope
    name: str
    def __init__(self, scope: _Optional[_Union[_role_pb2.RoleScope, str]] = ..., name: _Optional[str] = ...) -> None: ...

class DeleteRoleResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class AssignRoleRequest(_message.Message):
    __slots__ = ("user_id", "role_name", "room_id")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    ROLE_NAME_FIELD_NUMBER: _ClassVar[int]
    ROOM_ID_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    role_name: str
    room_id: str
    def __init__(self, user_id: _Optional[str] = ..., role_name: _Optional[str] = ..., room_id: _Optional[str] = ...) -> None: ...

class AssignRoleResponse(_message.Message):
    __slots__ = ("assigned_role",)
    ASSIGNED_ROLE_FIELD_NUMBER: _ClassVar[int]
    assigned_role: _role_pb2.AssignedRole
    def __init__(self, assigned_role: _Optional[_Union[_role_pb2.AssignedRole, _Mapping]] = ...) -> None: ...

class UnassignRoleRequest(_message.Message):
    __slots__ = ("user_id", "room_id")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    ROOM_ID_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    room_id: str
    def __init__(self, user_id: _Optional[str] = ..., room_id: _Optional[str] = ...) -> None: ...

class UnassignRoleResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListUserRolesRequest(_message.Message):
    __slots__ = ("user_id", "page_size", "page_token")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    page_size: int
    page_token: str
    def __init__(self, user_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListUserRolesResponse(_message.Message):
    __slots__ = ("assigned_roles", "next_page_token")
    ASSIGNED_ROLES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    assigned_roles: _containers.RepeatedCompositeFieldContainer[_role_pb2.AssignedRole]
    next_page_token: str
    def __init__(self, assigned_roles: _Optional[_Iterable[_Union[_role_pb2.AssignedRole, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
