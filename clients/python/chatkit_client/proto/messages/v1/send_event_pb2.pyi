from chatkit_client.proto.contract.v1 import stream_pb2 as _stream_pb2
from chatkit_client.proto.messages.v1 import send_result_pb2 as _send_result_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SendEvent(_message.Message):
    __slots__ = ("number", "result", "heartbeat", "closed", "token_expiring")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    CLOSED_FIELD_NUMBER: _ClassVar[int]
    TOKEN_EXPIRING_FIELD_NUMBER: _ClassVar[int]
    number: int
    result: _send_result_pb2.SendResult
    heartbeat: _stream_pb2.StreamHeartbeat
    closed: _stream_pb2.StreamClosed
    token_expiring: _stream_pb2.TokenExpiring
    def __init__(self, number: _Optional[int] = ..., result: _Optional[_Union[_send_result_pb2.SendResult, _Mapping]] = ..., heartbeat: _Optional[_Union[_stream_pb2.StreamHeartbeat, _Mapping]] = ..., closed: _Optional[_Union[_stream_pb2.StreamClosed, _Mapping]] = ..., token_expiring: _Optional[_Union[_stream_pb2.TokenExpiring, _Mapping]] = ...) -> None: ...
