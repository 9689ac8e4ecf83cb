from chatkit.contract.v1 import field_policy_pb2 as _field_policy_pb2
from chatkit.contract.v1 import method_policy_pb2 as _method_policy_pb2
from chatkit.users.v1 import exported_record_pb2 as _exported_record_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EraseRequest(_message.Message):
    __slots__ = ("room_uid", "user", "anonymized_user")
    ROOM_UID_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    ANONYMIZED_USER_FIELD_NUMBER: _ClassVar[int]
    room_uid: bytes
    user: ErasedUser
    anonymized_user: AnonymizedUser
    def __init__(self, room_uid: _Optional[bytes] = ..., user: _Optional[_Union[ErasedUser, _Mapping]] = ..., anonymized_user: _Optional[_Union[AnonymizedUser, _Mapping]] = ...) -> None: ...

class ErasedUser(_message.Message):
    __slots__ = ("uid", "id")
    UID_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    uid: bytes
    id: str
    def __init__(self, uid: _Optional[bytes] = ..., id: _Optional[str] = ...) -> None: ...

class AnonymizedUser(_message.Message):
    __slots__ = ("user", "pseudonym_key")
    USER_FIELD_NUMBER: _ClassVar[int]
    PSEUDONYM_KEY_FIELD_NUMBER: _ClassVar[int]
    user: ErasedUser
    pseudonym_key: bytes
    def __init__(self, user: _Optional[_Union[ErasedUser, _Mapping]] = ..., pseudonym_key: _Optional[bytes] = ...) -> None: ...

class EraseResponse(_message.Message):
    __slots__ = ("is_done",)
    IS_DONE_FIELD_NUMBER: _ClassVar[int]
    is_done: bool
    def __init__(self, is_done: _Optional[bool] = ...) -> None: ...

class ExportRequest(_message.Message):
    __slots__ = ("user",)
    USER_FIELD_NUMBER: _ClassVar[int]
    user: ErasedUser
    def __init__(self, user: _Optional[_Union[ErasedUser, _Mapping]] = ...) -> None: ...

class ExportResponse(_message.Message):
    __slots__ = ("records",)
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    records: _containers.RepeatedCompositeFieldContainer[_exported_record_pb2.ExportedRecord]
    def __init__(self, records: _Optional[_Iterable[_Union[_exported_record_pb2.ExportedRecord, _Mapping]]] = ...) -> None: ...
