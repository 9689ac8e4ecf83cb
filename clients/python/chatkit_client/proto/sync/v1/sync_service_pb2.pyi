import datetime

from chatkit_client.proto.contract.v1 import field_policy_pb2 as _field_policy_pb2
from chatkit_client.proto.contract.v1 import method_policy_pb2 as _method_policy_pb2
from chatkit_client.proto.sync.v1 import presence_part_pb2 as _presence_part_pb2
from chatkit_client.proto.sync.v1 import room_to_follow_pb2 as _room_to_follow_pb2
from chatkit_client.proto.sync.v1 import sync_event_pb2 as _sync_event_pb2
from chatkit_client.proto.sync.v1 import user_part_pb2 as _user_part_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SubscribeRequest(_message.Message):
    __slots__ = ("user_id", "rooms", "follow_memberships", "default_detail", "default_last", "include_cursors", "include_read_states", "user", "presence")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    ROOMS_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_MEMBERSHIPS_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_DETAIL_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_LAST_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_CURSORS_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_READ_STATES_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    PRESENCE_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    rooms: _containers.RepeatedCompositeFieldContainer[_room_to_follow_pb2.RoomToFollow]
    follow_memberships: bool
    default_detail: _room_to_follow_pb2.RoomDetail
    default_last: int
    include_cursors: bool
    include_read_states: bool
    user: _user_part_pb2.UserPart
    presence: _presence_part_pb2.PresencePart
    def __init__(self, user_id: _Optional[str] = ..., rooms: _Optional[_Iterable[_Union[_room_to_follow_pb2.RoomToFollow, _Mapping]]] = ..., follow_memberships: _Optional[bool] = ..., default_detail: _Optional[_Union[_room_to_follow_pb2.RoomDetail, str]] = ..., default_last: _Optional[int] = ..., include_cursors: _Optional[bool] = ..., include_read_states: _Optional[bool] = ..., user: _Optional[_Union[_user_part_pb2.UserPart, _Mapping]] = ..., presence: _Optional[_Union[_presence_part_pb2.PresencePart, _Mapping]] = ...) -> None: ...

class SubscribeResponse(_message.Message):
    __slots__ = ("events",)
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[_sync_event_pb2.SyncEvent]
    def __init__(self, events: _Optional[_Iterable[_Union[_sync_event_pb2.SyncEvent, _Mapping]]] = ...) -> None: ...

class UpdateSubscriptionRequest(_message.Message):
    __slots__ = ("stream_id", "user_id", "follow_rooms", "unfollow_room_ids", "watch_user_ids", "unwatch_user_ids")
    STREAM_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_ROOMS_FIELD_NUMBER: _ClassVar[int]
    UNFOLLOW_ROOM_IDS_FIELD_NUMBER: _ClassVar[int]
    WATCH_USER_IDS_FIELD_NUMBER: _ClassVar[int]
    UNWATCH_USER_IDS_FIELD_NUMBER: _ClassVar[int]
    stream_id: str
    user_id: str
    follow_rooms: _containers.RepeatedCompositeFieldContainer[_room_to_follow_pb2.RoomToFollow]
    unfollow_room_ids: _containers.RepeatedScalarFieldContainer[str]
    watch_user_ids: _containers.RepeatedScalarFieldContainer[str]
    unwatch_user_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, stream_id: _Optional[str] = ..., user_id: _Optional[str] = ..., follow_rooms: _Optional[_Iterable[_Union[_room_to_follow_pb2.RoomToFollow, _Mapping]]] = ..., unfollow_room_ids: _Optional[_Iterable[str]] = ..., watch_user_ids: _Optional[_Iterable[str]] = ..., unwatch_user_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class UpdateSubscriptionResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RenewTokenRequest(_message.Message):
    __slots__ = ("stream_id", "user_id")
    STREAM_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    stream_id: str
    user_id: str
    def __init__(self, stream_id: _Optional[str] = ..., user_id: _Optional[str] = ...) -> None: ...

class RenewTokenResponse(_message.Message):
    __slots__ = ("token_expire_time",)
    TOKEN_EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    token_expire_time: _timestamp_pb2.Timestamp
    def __init__(self, token_expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
