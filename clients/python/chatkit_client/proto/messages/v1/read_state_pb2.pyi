from chatkit_client.proto.messages.v1 import message_pb2 as _message_pb2
from chatkit_client.proto.messages.v1 import read_cursor_pb2 as _read_cursor_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ReadState(_message.Message):
    __slots__ = ("room_id", "cursor", "unread_count", "unread_capped", "last_message")
    ROOM_ID_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    UNREAD_COUNT_FIELD_NUMBER: _ClassVar[int]
    UNREAD_CAPPED_FIELD_NUMBER: _ClassVar[int]
    LAST_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    room_id: str
    cursor: _read_cursor_pb2.ReadCursor
    unread_count: int
    unread_capped: bool
    last_message: _message_pb2.Message
    def __init__(self, room_id: _Optional[str] = ..., cursor: _Optional[_Union[_read_cursor_pb2.ReadCursor, _Mapping]] = ..., unread_count: _Optional[int] = ..., unread_capped: _Optional[bool] = ..., last_message: _Optional[_Union[_message_pb2.Message, _Mapping]] = ...) -> None: ...
