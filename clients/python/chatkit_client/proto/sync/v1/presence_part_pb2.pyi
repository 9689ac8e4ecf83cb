from chatkit_client.proto.contract.v1 import field_policy_pb2 as _field_policy_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class PresencePart(_message.Message):
    __slots__ = ("online", "watch_user_ids")
    ONLINE_FIELD_NUMBER: _ClassVar[int]
    WATCH_USER_IDS_FIELD_NUMBER: _ClassVar[int]
    online: bool
    watch_user_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, online: _Optional[bool] = ..., watch_user_ids: _Optional[_Iterable[str]] = ...) -> None: ...
