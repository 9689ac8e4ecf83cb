from chatkit.contract.v1 import field_policy_pb2 as _field_policy_pb2
from chatkit.contract.v1 import method_policy_pb2 as _method_policy_pb2
from chatkit.users.v1 import user_pb2 as _user_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ResolveUsersRequest(_message.Message):
    __slots__ = ("user_ids", "with_users", "with_names")
    USER_IDS_FIELD_NUMBER: _ClassVar[int]
    WITH_USERS_FIELD_NUMBER: _ClassVar[int]
    WITH_NAMES_FIELD_NUMBER: _ClassVar[int]
    user_ids: _containers.RepeatedScalarFieldContainer[str]
    with_users: bool
    with_names: bool
    def __init__(self, user_ids: _Optional[_Iterable[str]] = ..., with_users: _Optional[bool] = ..., with_names: _Optional[bool] = ...) -> None: ...

class ResolveUsersResponse(_message.Message):
    __slots__ = ("users",)
    USERS_FIELD_NUMBER: _ClassVar[int]
    users: _containers.RepeatedCompositeFieldContainer[ResolvedUser]
    def __init__(self, users: _Optional[_Iterable[_Union[ResolvedUser, _Mapping]]] = ...) -> None: ...

class ResolvedUser(_message.Message):
    __slots__ = ("id", "uid", "user", "name", "avatar_url")
    ID_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    AVATAR_URL_FIELD_NUMBER: _ClassVar[int]
    id: str
    uid: bytes
    user: _user_pb2.User
    name: str
    avatar_url: str
    def __init__(self, id: _Optional[str] = ..., uid: _Optional[bytes] = ..., user: _Optional[_Union[_user_pb2.User, _Mapping]] = ..., name: _Optional[str] = ..., avatar_url: _Optional[str] = ...) -> None: ...

class WatchUsersRequest(_message.Message):
    __slots__ = ("after_version", "epoch")
    AFTER_VERSION_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    after_version: int
    epoch: str
    def __init__(self, after_version: _Optional[int] = ..., epoch: _Optional[str] = ...) -> None: ...

class WatchUsersResponse(_message.Message):
    __slots__ = ("events",)
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[DirectoryEvent]
    def __init__(self, events: _Optional[_Iterable[_Union[DirectoryEvent, _Mapping]]] = ...) -> None: ...

class DirectoryEvent(_message.Message):
    __slots__ = ("version", "reset", "heartbeat", "user_updated")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    RESET_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    USER_UPDATED_FIELD_NUMBER: _ClassVar[int]
    version: int
    reset: DirectoryReset
    heartbeat: DirectoryHeartbeat
    user_updated: _user_pb2.User
    def __init__(self, version: _Optional[int] = ..., reset: _Optional[_Union[DirectoryReset, _Mapping]] = ..., heartbeat: _Optional[_Union[DirectoryHeartbeat, _Mapping]] = ..., user_updated: _Optional[_Union[_user_pb2.User, _Mapping]] = ...) -> None: ...

class DirectoryReset(_message.Message):
    __slots__ = ("epoch",)
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    epoch: str
    def __init__(self, epoch: _Optional[str] = ...) -> None: ...

class DirectoryHeartbeat(_message.Message):
    __slots__ = ("epoch",)
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    epoch: str
    def __init__(self, epoch: _Optional[str] = ...) -> None: ...
