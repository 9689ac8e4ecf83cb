from chatkit.contract.v1 import field_policy_pb2 as _field_policy_pb2
from chatkit.contract.v1 import method_policy_pb2 as _method_policy_pb2
from chatkit.internal.feeds.v1 import feed_pb2 as _feed_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FollowPresenceRequest(_message.Message):
    __slots__ = ("follow", "change", "leave")
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    LEAVE_FIELD_NUMBER: _ClassVar[int]
    follow: _containers.RepeatedCompositeFieldContainer[PresenceFollower]
    change: _containers.RepeatedCompositeFieldContainer[WatchChange]
    leave: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, follow: _Optional[_Iterable[_Union[PresenceFollower, _Mapping]]] = ..., change: _Optional[_Iterable[_Union[WatchChange, _Mapping]]] = ..., leave: _Optional[_Iterable[int]] = ...) -> None: ...

class PresenceFollower(_message.Message):
    __slots__ = ("follower", "online", "watch_user_ids")
    FOLLOWER_FIELD_NUMBER: _ClassVar[int]
    ONLINE_FIELD_NUMBER: _ClassVar[int]
    WATCH_USER_IDS_FIELD_NUMBER: _ClassVar[int]
    follower: _feed_pb2.Follower
    online: bool
    watch_user_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, follower: _Optional[_Union[_feed_pb2.Follower, _Mapping]] = ..., online: _Optional[bool] = ..., watch_user_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class WatchChange(_message.Message):
    __slots__ = ("number", "change_number", "watch_user_ids", "unwatch_user_ids")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    CHANGE_NUMBER_FIELD_NUMBER: _ClassVar[int]
    WATCH_USER_IDS_FIELD_NUMBER: _ClassVar[int]
    UNWATCH_USER_IDS_FIELD_NUMBER: _ClassVar[int]
    number: int
    change_number: int
    watch_user_ids: _containers.RepeatedScalarFieldContainer[str]
    unwatch_user_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, number: _Optional[int] = ..., change_number: _Optional[int] = ..., watch_user_ids: _Optional[_Iterable[str]] = ..., unwatch_user_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class FollowPresenceResponse(_message.Message):
    __slots__ = ("events",)
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[PresenceFeedEvent]
    def __init__(self, events: _Optional[_Iterable[_Union[PresenceFeedEvent, _Mapping]]] = ...) -> None: ...

class PresenceFeedEvent(_message.Message):
    __slots__ = ("number", "events", "refused", "heartbeat", "changed", "not_changed")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    NOT_CHANGED_FIELD_NUMBER: _ClassVar[int]
    number: int
    events: bytes
    refused: _feed_pb2.FeedRefusal
    heartbeat: _feed_pb2.FeedHeartbeat
    changed: WatchChanged
    not_changed: WatchNotChanged
    def __init__(self, number: _Optional[int] = ..., events: _Optional[bytes] = ..., refused: _Optional[_Union[_feed_pb2.FeedRefusal, _Mapping]] = ..., heartbeat: _Optional[_Union[_feed_pb2.FeedHeartbeat, _Mapping]] = ..., changed: _Optional[_Union[WatchChanged, _Mapping]] = ..., not_changed: _Optional[_Union[WatchNotChanged, _Mapping]] = ...) -> None: ...

class WatchChanged(_message.Message):
    __slots__ = ("change_number",)
    CHANGE_NUMBER_FIELD_NUMBER: _ClassVar[int]
    change_number: int
    def __init__(self, change_number: _Optional[int] = ...) -> None: ...

class WatchNotChanged(_message.Message):
    __slots__ = ("change_number", "refusal")
    CHANGE_NUMBER_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    change_number: int
    refusal: _feed_pb2.FeedRefusal
    def __init__(self, change_number: _Optional[int] = ..., refusal: _Optional[_Union[_feed_pb2.FeedRefusal, _Mapping]] = ...) -> None: ...
