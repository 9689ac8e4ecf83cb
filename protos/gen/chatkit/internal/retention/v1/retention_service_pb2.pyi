from chatkit.contract.v1 import field_policy_pb2 as _field_policy_pb2
from chatkit.contract.v1 import method_policy_pb2 as _method_policy_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class BatchGetRetentionRequest(_message.Message):
    __slots__ = ("room_uids",)
    ROOM_UIDS_FIELD_NUMBER: _ClassVar[int]
    room_uids: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, room_uids: _Optional[_Iterable[bytes]] = ...) -> None: ...

class BatchGetRetentionResponse(_message.Message):
    __slots__ = ("rooms",)
    ROOMS_FIELD_NUMBER: _ClassVar[int]
    rooms: _containers.RepeatedCompositeFieldContainer[RoomRetention]
    def __init__(self, rooms: _Optional[_Iterable[_Union[RoomRetention, _Mapping]]] = ...) -> None: ...

class RoomRetention(_message.Message):
    __slots__ = ("room_uid", "days")
    ROOM_UID_FIELD_NUMBER: _ClassVar[int]
    DAYS_FIELD_NUMBER: _ClassVar[int]
    room_uid: bytes
    days: int
    def __init__(self, room_uid: _Optional[bytes] = ..., days: _Optional[int] = ...) -> None: ...
