from chatkit.contract.v1 import field_policy_pb2 as _field_policy_pb2
from chatkit.contract.v1 import method_policy_pb2 as _method_policy_pb2
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
    __slots__ = ("room_uid", "user_uid", "version")
    ROOM_UID_FIELD_NUMBER: _ClassVar[int]
    USER_UID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    room_uid: bytes
    user_uid: bytes
    version: int
    def __init__(self, room_uid: _Optional[bytes] = ..., user_uid: _Optional[bytes] = ..., version: _Optional[int] = ...) -> None: ...

class WatchAccessRequest(_message.Message):
    __slots__ = ("after_version",)
    AFTER_VERSION_FIELD_NUMBER: _ClassVar[int]
    after_version: int
    def __init__(self, after_version: _Optional[int] = ...) -> None: ...

class WatchAccessResponse(_message.Message):
    __slots__ = ("events",)
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[AccessEvent]
    def __init__(self, events: _Optional[_Iterable[_Union[AccessEvent, _Mapping]]] = ...) -> None: ...

class AccessEvent(_message.Message):
    __slots__ = ("version", "reset", "heartbeat", "member_added", "member_removed")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    RESET_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    MEMBER_ADDED_FIELD_NUMBER: _ClassVar[int]
    MEMBER_REMOVED_FIELD_NUMBER: _ClassVar[int]
    version: int
    reset: AccessReset
    heartbeat: AccessHeartbeat
    member_added: MemberChange
    member_removed: MemberChange
    def __init__(self, version: _Optional[int] = ..., reset: _Optional[_Union[AccessReset, _Mapping]] = ..., heartbeat: _Optional[_Union[AccessHeartbeat, _Mapping]] = ..., member_added: _Optional[_Union[MemberChange, _Mapping]] = ..., member_removed: _Optional[_Union[MemberChange, _Mapping]] = ...) -> None: ...

class AccessReset(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class AccessHeartbeat(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class MemberChange(_message.Message):
    __slots__ = ("room_uid", "user_uid")
    ROOM_UID_FIELD_NUMBER: _ClassVar[int]
    USER_UID_FIELD_NUMBER: _ClassVar[int]
    room_uid: bytes
    user_uid: bytes
    def __init__(self, room_uid: _Optional[bytes] = ..., user_uid: _Optional[bytes] = ...) -> None: ...
