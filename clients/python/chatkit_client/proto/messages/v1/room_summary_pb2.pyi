import datetime

from chatkit_client.proto.messages.v1 import read_state_pb2 as _read_state_pb2
from chatkit_client.proto.rooms.v1 import room_pb2 as _room_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RoomSummary(_message.Message):
    __slots__ = ("room", "read_state", "other_members", "last_event_time")
    ROOM_FIELD_NUMBER: _ClassVar[int]
    READ_STATE_FIELD_NUMBER: _ClassVar[int]
    OTHER_MEMBERS_FIELD_NUMBER: _ClassVar[int]
    LAST_EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    room: _room_pb2.Room
    read_state: _read_state_pb2.ReadState
    other_members: _containers.RepeatedCompositeFieldContainer[RoomMember]
    last_event_time: _timestamp_pb2.Timestamp
    def __init__(self, room: _Optional[_Union[_room_pb2.Room, _Mapping]] = ..., read_state: _Optional[_Union[_read_state_pb2.ReadState, _Mapping]] = ..., other_members: _Optional[_Iterable[_Union[RoomMember, _Mapping]]] = ..., last_event_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class RoomMember(_message.Message):
    __slots__ = ("user_id", "name", "avatar_url")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    AVATAR_URL_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    name: str
    avatar_url: str
    def __init__(self, user_id: _Optional[str] = ..., name: _Optional[str] = ..., avatar_url: _Optional[str] = ...) -> None: ...
