from chatkit.contract.v1 import field_policy_pb2 as _field_policy_pb2
from chatkit.contract.v1 import method_policy_pb2 as _method_policy_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ResolveUsersRequest(_message.Message):
    __slots__ = ("user_ids",)
    USER_IDS_FIELD_NUMBER: _ClassVar[int]
    user_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, user_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class ResolveUsersResponse(_message.Message):
    __slots__ = ("users",)
    USERS_FIELD_NUMBER: _ClassVar[int]
    users: _containers.RepeatedCompositeFieldContainer[ResolvedUser]
    def __init__(self, users: _Optional[_Iterable[_Union[ResolvedUser, _Mapping]]] = ...) -> None: ...

class ResolvedUser(_message.Message):
    __slots__ = ("id", "uid")
    ID_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    id: str
    uid: bytes
    def __init__(self, id: _Optional[str] = ..., uid: _Optional[bytes] = ...) -> None: ...
