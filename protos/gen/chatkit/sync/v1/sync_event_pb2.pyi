import datetime

from chatkit.contract.v1 import stream_pb2 as _stream_pb2
from chatkit.messages.v1 import room_event_pb2 as _room_event_pb2
from chatkit.rooms.v1 import user_event_pb2 as _user_event_pb2
from chatkit.rooms.v1 import user_position_pb2 as _user_position_pb2
from chatkit.users.v1 import presence_event_pb2 as _presence_event_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SyncPart(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SYNC_PART_UNSPECIFIED: _ClassVar[SyncPart]
    SYNC_PART_ROOMS: _ClassVar[SyncPart]
    SYNC_PART_USER: _ClassVar[SyncPart]
    SYNC_PART_PRESENCE: _ClassVar[SyncPart]
SYNC_PART_UNSPECIFIED: SyncPart
SYNC_PART_ROOMS: SyncPart
SYNC_PART_USER: SyncPart
SYNC_PART_PRESENCE: SyncPart

class SyncOpened(_message.Message):
    __slots__ = ("stream_id", "token_expire_time")
    STREAM_ID_FIELD_NUMBER: _ClassVar[int]
    TOKEN_EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    stream_id: str
    token_expire_time: _timestamp_pb2.Timestamp
    def __init__(self, stream_id: _Optional[str] = ..., token_expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class SyncCaughtUp(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SyncHeartbeat(_message.Message):
    __slots__ = ("behind", "user_position")
    BEHIND_FIELD_NUMBER: _ClassVar[int]
    USER_POSITION_FIELD_NUMBER: _ClassVar[int]
    behind: _containers.RepeatedScalarFieldContainer[SyncPart]
    user_position: _user_position_pb2.UserPosition
    def __init__(self, behind: _Optional[_Iterable[_Union[SyncPart, str]]] = ..., user_position: _Optional[_Union[_user_position_pb2.UserPosition, _Mapping]] = ...) -> None: ...

class SyncEvent(_message.Message):
    __slots__ = ("room", "user", "presence", "opened", "caught_up", "heartbeat", "closed", "token_expiring", "part_closed")
    ROOM_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    PRESENCE_FIELD_NUMBER: _ClassVar[int]
    OPENED_FIELD_NUMBER: _ClassVar[int]
    CAUGHT_UP_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    CLOSED_FIELD_NUMBER: _ClassVar[int]
    TOKEN_EXPIRING_FIELD_NUMBER: _ClassVar[int]
    PART_CLOSED_FIELD_NUMBER: _ClassVar[int]
    room: _room_event_pb2.RoomEvent
    user: _user_event_pb2.UserEvent
    presence: _presence_event_pb2.PresenceEvent
    opened: SyncOpened
    caught_up: SyncCaughtUp
    heartbeat: SyncHeartbeat
    closed: _stream_pb2.StreamClosed
    token_expiring: _stream_pb2.TokenExpiring
    part_closed: PartClosed
    def __init__(self, room: _Optional[_Union[_room_event_pb2.RoomEvent, _Mapping]] = ..., user: _Optional[_Union[_user_event_pb2.UserEvent, _Mapping]] = ..., presence: _Optional[_Union[_presence_event_pb2.PresenceEvent, _Mapping]] = ..., opened: _Optional[_Union[SyncOpened, _Mapping]] = ..., caught_up: _Optional[_Union[SyncCaughtUp, _Mapping]] = ..., heartbeat: _Optional[_Union[SyncHeartbeat, _Mapping]] = ..., closed: _Optional[_Union[_stream_pb2.StreamClosed, _Mapping]] = ..., token_expiring: _Optional[_Union[_stream_pb2.TokenExpiring, _Mapping]] = ..., part_closed: _Optional[_Union[PartClosed, _Mapping]] = ...) -> None: ...

class PartClosed(_message.Message):
    __slots__ = ("part", "closed")
    PART_FIELD_NUMBER: _ClassVar[int]
    CLOSED_FIELD_NUMBER: _ClassVar[int]
    part: SyncPart
    closed: _stream_pb2.StreamClosed
    def __init__(self, part: _Optional[_Union[SyncPart, str]] = ..., closed: _Optional[_Union[_stream_pb2.StreamClosed, _Mapping]] = ...) -> None: ...
