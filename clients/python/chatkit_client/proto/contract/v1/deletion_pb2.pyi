import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DeletionState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DELETION_STATE_UNSPECIFIED: _ClassVar[DeletionState]
    DELETION_STATE_RUNNING: _ClassVar[DeletionState]
    DELETION_STATE_DONE: _ClassVar[DeletionState]

class MessageErasure(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MESSAGE_ERASURE_UNSPECIFIED: _ClassVar[MessageErasure]
    MESSAGE_ERASURE_ERASE: _ClassVar[MessageErasure]
    MESSAGE_ERASURE_KEEP_ANONYMOUS: _ClassVar[MessageErasure]
DELETION_STATE_UNSPECIFIED: DeletionState
DELETION_STATE_RUNNING: DeletionState
DELETION_STATE_DONE: DeletionState
MESSAGE_ERASURE_UNSPECIFIED: MessageErasure
MESSAGE_ERASURE_ERASE: MessageErasure
MESSAGE_ERASURE_KEEP_ANONYMOUS: MessageErasure

class Deletion(_message.Message):
    __slots__ = ("id", "subject", "state", "services", "create_time", "update_time", "messages")
    ID_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    id: str
    subject: str
    state: DeletionState
    services: _containers.RepeatedCompositeFieldContainer[ServiceDeletion]
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    messages: MessageErasure
    def __init__(self, id: _Optional[str] = ..., subject: _Optional[str] = ..., state: _Optional[_Union[DeletionState, str]] = ..., services: _Optional[_Iterable[_Union[ServiceDeletion, _Mapping]]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., messages: _Optional[_Union[MessageErasure, str]] = ...) -> None: ...

class ServiceDeletion(_message.Message):
    __slots__ = ("service", "state", "update_time")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    service: str
    state: DeletionState
    update_time: _timestamp_pb2.Timestamp
    def __init__(self, service: _Optional[str] = ..., state: _Optional[_Union[DeletionState, str]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
