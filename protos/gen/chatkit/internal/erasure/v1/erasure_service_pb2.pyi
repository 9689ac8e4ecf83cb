from chatkit.contract.v1 import method_policy_pb2 as _method_policy_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class EraseRequest(_message.Message):
    __slots__ = ("room_uid",)
    ROOM_UID_FIELD_NUMBER: _ClassVar[int]
    room_uid: bytes
    def __init__(self, room_uid: _Optional[bytes] = ...) -> None: ...

class EraseResponse(_message.Message):
    __slots__ = ("is_done",)
    IS_DONE_FIELD_NUMBER: _ClassVar[int]
    is_done: bool
    def __init__(self, is_done: _Optional[bool] = ...) -> None: ...
