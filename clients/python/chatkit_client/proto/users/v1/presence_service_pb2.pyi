from chatkit_client.proto.contract.v1 import field_policy_pb2 as _field_policy_pb2
from chatkit_client.proto.contract.v1 import method_policy_pb2 as _method_policy_pb2
from chatkit_client.proto.users.v1 import presence_event_pb2 as _presence_event_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SubscribePresenceRequest(_message.Message):
    __slots__ = ("user_id", "online", "watch_user_ids")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    ONLINE_FIELD_NUMBER: _ClassVar[int]
    WATCH_USER_IDS_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    online: bool
    watch_user_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, user_id: _Optional[str] = ..., online: _Optional[bool] = ..., watch_user_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class SubscribePresenceResponse(_message.Message):
    __slots__ = ("events",)
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[_presence_event_pb2.PresenceEvent]
    def __init__(self, events: _Optional[_Iterable[_Union[_presence_event_pb2.PresenceEvent, _Mapping]]] = ...) -> None: ...

class GetPresenceRequest(_message.Message):
    __slots__ = ("user_ids",)
    USER_IDS_FIELD_NUMBER: _ClassVar[int]
    user_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, user_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class GetPresenceResponse(_message.Message):
    __slots__ = ("presences",)
    PRESENCES_FIELD_NUMBER: _ClassVar[int]
    presences: _containers.RepeatedCompositeFieldContainer[_presence_event_pb2.Presence]
    def __init__(self, presences: _Optional[_Iterable[_Union[_presence_event_pb2.Presence, _Mapping]]] = ...) -> None: ...
