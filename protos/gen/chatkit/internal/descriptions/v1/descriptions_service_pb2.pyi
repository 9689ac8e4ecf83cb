from chatkit.contract.v1 import field_policy_pb2 as _field_policy_pb2
from chatkit.contract.v1 import method_policy_pb2 as _method_policy_pb2
from chatkit.rooms.v1 import room_pb2 as _room_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class BatchDescribeRoomsRequest(_message.Message):
    __slots__ = ("room_uids", "user_id", "most_members")
    ROOM_UIDS_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    MOST_MEMBERS_FIELD_NUMBER: _ClassVar[int]
    room_uids: _containers.RepeatedScalarFieldContainer[bytes]
    user_id: str
    most_members: int
    def __init__(self, room_uids: _Optional[_Iterable[bytes]] = ..., user_id: _Optional[str] = ..., most_members: _Optional[int] = ...) -> None: ...

class BatchDescribeRoomsResponse(_message.Message):
    __slots__ = ("rooms", "answered_count")
    ROOMS_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_COUNT_FIELD_NUMBER: _ClassVar[int]
    rooms: _containers.RepeatedCompositeFieldContainer[RoomDescription]
    answered_count: int
    def __init__(self, rooms: _Optional[_Iterable[_Union[RoomDescription, _Mapping]]] = ..., answered_count: _Optional[int] = ...) -> None: ...

class RoomDescription(_message.Message):
    __slots__ = ("room_uid", "room", "member_ids")
    ROOM_UID_FIELD_NUMBER: _ClassVar[int]
    ROOM_FIELD_NUMBER: _ClassVar[int]
    MEMBER_IDS_FIELD_NUMBER: _ClassVar[int]
    room_uid: bytes
    room: _room_pb2.Room
    member_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, room_uid: _Optional[bytes] = ..., room: _Optional[_Union[_room_pb2.Room, _Mapping]] = ..., member_ids: _Optional[_Iterable[str]] = ...) -> None: ...
