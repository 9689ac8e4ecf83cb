from chatkit.contract.v1 import field_policy_pb2 as _field_policy_pb2
from chatkit.contract.v1 import method_policy_pb2 as _method_policy_pb2
from chatkit.internal.feeds.v1 import feed_pb2 as _feed_pb2
from chatkit.rooms.v1 import user_position_pb2 as _user_position_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FollowUsersRequest(_message.Message):
    __slots__ = ("follow", "leave")
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    LEAVE_FIELD_NUMBER: _ClassVar[int]
    follow: _containers.RepeatedCompositeFieldContainer[UserFollower]
    leave: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, follow: _Optional[_Iterable[_Union[UserFollower, _Mapping]]] = ..., leave: _Optional[_Iterable[int]] = ...) -> None: ...

class UserFollower(_message.Message):
    __slots__ = ("follower", "after")
    FOLLOWER_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    follower: _feed_pb2.Follower
    after: _user_position_pb2.UserPosition
    def __init__(self, follower: _Optional[_Union[_feed_pb2.Follower, _Mapping]] = ..., after: _Optional[_Union[_user_position_pb2.UserPosition, _Mapping]] = ...) -> None: ...

class FollowUsersResponse(_message.Message):
    __slots__ = ("events",)
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[UserFeedEvent]
    def __init__(self, events: _Optional[_Iterable[_Union[UserFeedEvent, _Mapping]]] = ...) -> None: ...

class UserFeedEvent(_message.Message):
    __slots__ = ("number", "events", "refused", "heartbeat", "position")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    number: int
    events: bytes
    refused: _feed_pb2.FeedRefusal
    heartbeat: _feed_pb2.FeedHeartbeat
    position: _user_position_pb2.UserPosition
    def __init__(self, number: _Optional[int] = ..., events: _Optional[bytes] = ..., refused: _Optional[_Union[_feed_pb2.FeedRefusal, _Mapping]] = ..., heartbeat: _Optional[_Union[_feed_pb2.FeedHeartbeat, _Mapping]] = ..., position: _Optional[_Union[_user_position_pb2.UserPosition, _Mapping]] = ...) -> None: ...
