from chatkit_client.proto.contract.v1 import field_policy_pb2 as _field_policy_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class UserPosition(_message.Message):
    __slots__ = ("rooms_epoch", "rooms_version", "users_epoch", "users_version")
    ROOMS_EPOCH_FIELD_NUMBER: _ClassVar[int]
    ROOMS_VERSION_FIELD_NUMBER: _ClassVar[int]
    USERS_EPOCH_FIELD_NUMBER: _ClassVar[int]
    USERS_VERSION_FIELD_NUMBER: _ClassVar[int]
    rooms_epoch: str
    rooms_version: int
    users_epoch: str
    users_version: int
    def __init__(self, rooms_epoch: _Optional[str] = ..., rooms_version: _Optional[int] = ..., users_epoch: _Optional[str] = ..., users_version: _Optional[int] = ...) -> None: ...
