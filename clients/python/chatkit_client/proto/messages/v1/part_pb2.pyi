from chatkit_client.proto.contract.v1 import field_policy_pb2 as _field_policy_pb2
from chatkit_client.proto.messages.v1 import attached_file_pb2 as _attached_file_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Part(_message.Message):
    __slots__ = ("content_type", "content", "url", "file_id", "file")
    CONTENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    FILE_ID_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    content_type: str
    content: str
    url: str
    file_id: str
    file: _attached_file_pb2.AttachedFile
    def __init__(self, content_type: _Optional[str] = ..., content: _Optional[str] = ..., url: _Optional[str] = ..., file_id: _Optional[str] = ..., file: _Optional[_Union[_attached_file_pb2.AttachedFile, _Mapping]] = ...) -> None: ...
