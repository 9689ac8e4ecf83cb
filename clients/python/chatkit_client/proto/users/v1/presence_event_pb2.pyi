import datetime

from chatkit_client.proto.contract.v1 import stream_pb2 as _stream_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PresenceState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PRESENCE_STATE_UNSPECIFIED: _ClassVar[PresenceState]
    PRESENCE_STATE_ONLINE: _ClassVar[PresenceState]
    PRESENCE_STATE_OFFLINE: _ClassVar[PresenceState]
PRESENCE_STATE_UNSPECIFIED: PresenceState
PRESENCE_STATE_ONLINE: PresenceState
PRESENCE_STATE_OFFLINE: PresenceState

class Presence(_message.Message):
    __slots__ = ("user_id", "state", "change_time")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CHANGE_TIME_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    state: PresenceState
    change_time: _timestamp_pb2.Timestamp
    def __init__(self, user_id: _Optional[str] = ..., state: _Optional[_Union[PresenceState, str]] = ..., change_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class PresenceOpened(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class PresenceCaughtUp(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class PresenceEvent(_message.Message):
    __slots__ = ("time", "opened", "presence", "caught_up", "heartbeat", "closed", "presence_changed")
    TIME_FIELD_NUMBER: _ClassVar[int]
    OPENED_FIELD_NUMBER: _ClassVar[int]
    PRESENCE_FIELD_NUMBER: _ClassVar[int]
    CAUGHT_UP_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    CLOSED_FIELD_NUMBER: _ClassVar[int]
    PRESENCE_CHANGED_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    opened: PresenceOpened
    presence: Presence
    caught_up: PresenceCaughtUp
    heartbeat: _stream_pb2.StreamHeartbeat
    closed: _stream_pb2.StreamClosed
    presence_changed: Presence
    def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., opened: _Optional[_Union[PresenceOpened, _Mapping]] = ..., presence: _Optional[_Union[Presence, _Mapping]] = ..., caught_up: _Optional[_Union[PresenceCaughtUp, _Mapping]] = ..., heartbeat: _Optional[_Union[_stream_pb2.StreamHeartbeat, _Mapping]] = ..., closed: _Optional[_Union[_stream_pb2.StreamClosed, _Mapping]] = ..., presence_changed: _Optional[_Union[Presence, _Mapping]] = ...) -> None: ...
