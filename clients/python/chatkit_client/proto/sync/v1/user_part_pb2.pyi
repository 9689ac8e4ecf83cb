from chatkit_client.proto.rooms.v1 import user_position_pb2 as _user_position_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class UserPart(_message.Message):
    __slots__ = ("after",)
    AFTER_FIELD_NUMBER: _ClassVar[int]
    after: _user_position_pb2.UserPosition
    def __init__(self, after: _Optional[_Union[_user_position_pb2.UserPosition, _Mapping]] = ...) -> None: ...
