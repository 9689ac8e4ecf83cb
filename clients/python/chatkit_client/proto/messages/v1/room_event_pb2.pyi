import datetime

from chatkit_client.proto.contract.v1 import error_reason_pb2 as _error_reason_pb2
from chatkit_client.proto.messages.v1 import message_pb2 as _message_pb2
from chatkit_client.proto.messages.v1 import position_pb2 as _position_pb2
from chatkit_client.proto.messages.v1 import read_cursor_pb2 as _read_cursor_pb2
from chatkit_client.proto.messages.v1 import read_state_pb2 as _read_state_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTCOME_UNSPECIFIED: _ClassVar[Outcome]
    OUTCOME_RESUMED: _ClassVar[Outcome]
    OUTCOME_SNAPSHOT: _ClassVar[Outcome]

class SnapshotReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SNAPSHOT_REASON_UNSPECIFIED: _ClassVar[SnapshotReason]
    SNAPSHOT_REASON_NEW: _ClassVar[SnapshotReason]
    SNAPSHOT_REASON_TOO_FAR: _ClassVar[SnapshotReason]
    SNAPSHOT_REASON_EPOCH: _ClassVar[SnapshotReason]
    SNAPSHOT_REASON_RETENTION: _ClassVar[SnapshotReason]
OUTCOME_UNSPECIFIED: Outcome
OUTCOME_RESUMED: Outcome
OUTCOME_SNAPSHOT: Outcome
SNAPSHOT_REASON_UNSPECIFIED: SnapshotReason
SNAPSHOT_REASON_NEW: SnapshotReason
SNAPSHOT_REASON_TOO_FAR: SnapshotReason
SNAPSHOT_REASON_EPOCH: SnapshotReason
SNAPSHOT_REASON_RETENTION: SnapshotReason

class Opened(_message.Message):
    __slots__ = ("position", "oldest_seq", "outcome", "reason", "first_seq")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    OLDEST_SEQ_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEQ_FIELD_NUMBER: _ClassVar[int]
    position: _position_pb2.Position
    oldest_seq: int
    outcome: Outcome
    reason: SnapshotReason
    first_seq: int
    def __init__(self, position: _Optional[_Union[_position_pb2.Position, _Mapping]] = ..., oldest_seq: _Optional[int] = ..., outcome: _Optional[_Union[Outcome, str]] = ..., reason: _Optional[_Union[SnapshotReason, str]] = ..., first_seq: _Optional[int] = ...) -> None: ...

class CaughtUp(_message.Message):
    __slots__ = ("seq",)
    SEQ_FIELD_NUMBER: _ClassVar[int]
    seq: int
    def __init__(self, seq: _Optional[int] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("head_seq",)
    HEAD_SEQ_FIELD_NUMBER: _ClassVar[int]
    head_seq: int
    def __init__(self, head_seq: _Optional[int] = ...) -> None: ...

class Closed(_message.Message):
    __slots__ = ("code", "reason", "position", "retry_after")
    CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_FIELD_NUMBER: _ClassVar[int]
    code: int
    reason: _error_reason_pb2.ErrorReason
    position: _position_pb2.Position
    retry_after: _duration_pb2.Duration
    def __init__(self, code: _Optional[int] = ..., reason: _Optional[_Union[_error_reason_pb2.ErrorReason, str]] = ..., position: _Optional[_Union[_position_pb2.Position, _Mapping]] = ..., retry_after: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Typing(_message.Message):
    __slots__ = ("user_id",)
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    def __init__(self, user_id: _Optional[str] = ...) -> None: ...

class MessageGone(_message.Message):
    __slots__ = ("seq",)
    SEQ_FIELD_NUMBER: _ClassVar[int]
    seq: int
    def __init__(self, seq: _Optional[int] = ...) -> None: ...

class RoomEvent(_message.Message):
    __slots__ = ("room_id", "seq", "time", "opened", "caught_up", "heartbeat", "closed", "message_created", "message_edited", "message_deleted", "message_gone", "cursor_set", "typing", "read_state", "message_changed")
    ROOM_ID_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    OPENED_FIELD_NUMBER: _ClassVar[int]
    CAUGHT_UP_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    CLOSED_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_CREATED_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_EDITED_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_DELETED_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_GONE_FIELD_NUMBER: _ClassVar[int]
    CURSOR_SET_FIELD_NUMBER: _ClassVar[int]
    TYPING_FIELD_NUMBER: _ClassVar[int]
    READ_STATE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_CHANGED_FIELD_NUMBER: _ClassVar[int]
    room_id: str
    seq: int
    time: _timestamp_pb2.Timestamp
    opened: Opened
    caught_up: CaughtUp
    heartbeat: Heartbeat
    closed: Closed
    message_created: _message_pb2.Message
    message_edited: _message_pb2.Message
    message_deleted: _message_pb2.Message
    message_gone: MessageGone
    cursor_set: _read_cursor_pb2.ReadCursor
    typing: Typing
    read_state: _read_state_pb2.ReadState
    message_changed: _message_pb2.Message
    def __init__(self, room_id: _Optional[str] = ..., seq: _Optional[int] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., opened: _Optional[_Union[Opened, _Mapping]] = ..., caught_up: _Optional[_Union[CaughtUp, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., closed: _Optional[_Union[Closed, _Mapping]] = ..., message_created: _Optional[_Union[_message_pb2.Message, _Mapping]] = ..., message_edited: _Optional[_Union[_message_pb2.Message, _Mapping]] = ..., message_deleted: _Optional[_Union[_message_pb2.Message, _Mapping]] = ..., message_gone: _Optional[_Union[MessageGone, _Mapping]] = ..., cursor_set: _Optional[_Union[_read_cursor_pb2.ReadCursor, _Mapping]] = ..., typing: _Optional[_Union[Typing, _Mapping]] = ..., read_state: _Optional[_Union[_read_state_pb2.ReadState, _Mapping]] = ..., message_changed: _Optional[_Union[_message_pb2.Message, _Mapping]] = ...) -> None: ...
