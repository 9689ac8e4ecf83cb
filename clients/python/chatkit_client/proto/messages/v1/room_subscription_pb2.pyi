from chatkit_client.proto.contract.v1 import field_policy_pb2 as _field_policy_pb2
from chatkit_client.proto.messages.v1 import position_pb2 as _position_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RoomSubscription(_message.Message):
    __slots__ = ("room_id", "after", "last", "max_snapshot_messages")
    ROOM_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    MAX_SNAPSHOT_MESSAGES_FIELD_NUMBER: _ClassVar[int]
    room_id: str
    after: _position_pb2.Position
    last: int
    max_snapshot_messages: int
    def __init__(self, room_id: _Optional[str] = ..., after: _Optional[_Union[_position_pb2.Position, _Mapping]] = ..., last: _Optional[int] = ..., max_snapshot_messages: _Optional[int] = ...) -> None: ...
