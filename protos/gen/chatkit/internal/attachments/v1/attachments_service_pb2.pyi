from chatkit.contract.v1 import field_policy_pb2 as _field_policy_pb2
from chatkit.contract.v1 import method_policy_pb2 as _method_policy_pb2
from chatkit.messages.v1 import attached_file_pb2 as _attached_file_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AttachFilesRequest(_message.Message):
    __slots__ = ("room_uid", "owner_uid", "file_ids")
    ROOM_UID_FIELD_NUMBER: _ClassVar[int]
    OWNER_UID_FIELD_NUMBER: _ClassVar[int]
    FILE_IDS_FIELD_NUMBER: _ClassVar[int]
    room_uid: str
    owner_uid: str
    file_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, room_uid: _Optional[str] = ..., owner_uid: _Optional[str] = ..., file_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class AttachFilesResponse(_message.Message):
    __slots__ = ("files",)
    FILES_FIELD_NUMBER: _ClassVar[int]
    files: _containers.RepeatedCompositeFieldContainer[_attached_file_pb2.AttachedFile]
    def __init__(self, files: _Optional[_Iterable[_Union[_attached_file_pb2.AttachedFile, _Mapping]]] = ...) -> None: ...

class FindFilesRequest(_message.Message):
    __slots__ = ("file_ids",)
    FILE_IDS_FIELD_NUMBER: _ClassVar[int]
    file_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, file_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class FindFilesResponse(_message.Message):
    __slots__ = ("file_ids",)
    FILE_IDS_FIELD_NUMBER: _ClassVar[int]
    file_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, file_ids: _Optional[_Iterable[str]] = ...) -> None: ...
