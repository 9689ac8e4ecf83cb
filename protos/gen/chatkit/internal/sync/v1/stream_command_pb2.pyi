import datetime

from chatkit.sync.v1 import sync_service_pb2 as _sync_service_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class StreamCommand(_message.Message):
    __slots__ = ("command_id", "stream_id", "user_id", "update", "renewal")
    COMMAND_ID_FIELD_NUMBER: _ClassVar[int]
    STREAM_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    UPDATE_FIELD_NUMBER: _ClassVar[int]
    RENEWAL_FIELD_NUMBER: _ClassVar[int]
    command_id: bytes
    stream_id: str
    user_id: str
    update: _sync_service_pb2.UpdateSubscriptionRequest
    renewal: TokenRenewal
    def __init__(self, command_id: _Optional[bytes] = ..., stream_id: _Optional[str] = ..., user_id: _Optional[str] = ..., update: _Optional[_Union[_sync_service_pb2.UpdateSubscriptionRequest, _Mapping]] = ..., renewal: _Optional[_Union[TokenRenewal, _Mapping]] = ...) -> None: ...

class TokenRenewal(_message.Message):
    __slots__ = ("subject", "superuser", "expire_time", "token_time", "key_id")
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    SUPERUSER_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    TOKEN_TIME_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    subject: str
    superuser: bool
    expire_time: _timestamp_pb2.Timestamp
    token_time: float
    key_id: str
    def __init__(self, subject: _Optional[str] = ..., superuser: _Optional[bool] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., token_time: _Optional[float] = ..., key_id: _Optional[str] = ...) -> None: ...

class StreamAnswer(_message.Message):
    __slots__ = ("command_id", "status", "token_expire_time")
    COMMAND_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    TOKEN_EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    command_id: bytes
    status: bytes
    token_expire_time: _timestamp_pb2.Timestamp
    def __init__(self, command_id: _Optional[bytes] = ..., status: _Optional[bytes] = ..., token_expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
