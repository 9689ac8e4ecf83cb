import datetime

from chatkit_client.proto.contract.v1 import stream_pb2 as _stream_pb2
from chatkit_client.proto.rooms.v1 import membership_pb2 as _membership_pb2
from chatkit_client.proto.rooms.v1 import room_pb2 as _room_pb2
from chatkit_client.proto.rooms.v1 import user_position_pb2 as _user_position_pb2
from chatkit_client.proto.users.v1 import user_pb2 as _user_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class UserOpened(_message.Message):
    __slots__ = ("user", "resumed")
    USER_FIELD_NUMBER: _ClassVar[int]
    RESUMED_FIELD_NUMBER: _ClassVar[int]
    user: _user_pb2.User
    resumed: bool
    def __init__(self, user: _Optional[_Union[_user_pb2.User, _Mapping]] = ..., resumed: _Optional[bool] = ...) -> None: ...

class RoomOfUser(_message.Message):
    __slots__ = ("room", "membership")
    ROOM_FIELD_NUMBER: _ClassVar[int]
    MEMBERSHIP_FIELD_NUMBER: _ClassVar[int]
    room: _room_pb2.Room
    membership: _membership_pb2.Membership
    def __init__(self, room: _Optional[_Union[_room_pb2.Room, _Mapping]] = ..., membership: _Optional[_Union[_membership_pb2.Membership, _Mapping]] = ...) -> None: ...

class UserCaughtUp(_message.Message):
    __slots__ = ("room_count",)
    ROOM_COUNT_FIELD_NUMBER: _ClassVar[int]
    room_count: int
    def __init__(self, room_count: _Optional[int] = ...) -> None: ...

class RemovedFromRoom(_message.Message):
    __slots__ = ("room_id",)
    ROOM_ID_FIELD_NUMBER: _ClassVar[int]
    room_id: str
    def __init__(self, room_id: _Optional[str] = ...) -> None: ...

class RoomDeleted(_message.Message):
    __slots__ = ("room_id",)
    ROOM_ID_FIELD_NUMBER: _ClassVar[int]
    room_id: str
    def __init__(self, room_id: _Optional[str] = ...) -> None: ...

class UserDeleted(_message.Message):
    __slots__ = ("user_id",)
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    def __init__(self, user_id: _Optional[str] = ...) -> None: ...

class MemberMoved(_message.Message):
    __slots__ = ("room_id", "user_id")
    ROOM_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    room_id: str
    user_id: str
    def __init__(self, room_id: _Optional[str] = ..., user_id: _Optional[str] = ...) -> None: ...

class UserEvent(_message.Message):
    __slots__ = ("time", "opened", "room", "caught_up", "heartbeat", "closed", "user_updated", "added_to_room", "removed_from_room", "room_updated", "member_joined", "member_left", "room_deleted", "user_deleted", "position")
    TIME_FIELD_NUMBER: _ClassVar[int]
    OPENED_FIELD_NUMBER: _ClassVar[int]
    ROOM_FIELD_NUMBER: _ClassVar[int]
    CAUGHT_UP_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    CLOSED_FIELD_NUMBER: _ClassVar[int]
    USER_UPDATED_FIELD_NUMBER: _ClassVar[int]
    ADDED_TO_ROOM_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FROM_ROOM_FIELD_NUMBER: _ClassVar[int]
    ROOM_UPDATED_FIELD_NUMBER: _ClassVar[int]
    MEMBER_JOINED_FIELD_NUMBER: _ClassVar[int]
    MEMBER_LEFT_FIELD_NUMBER: _ClassVar[int]
    ROOM_DELETED_FIELD_NUMBER: _ClassVar[int]
    USER_DELETED_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    opened: UserOpened
    room: RoomOfUser
    caught_up: UserCaughtUp
    heartbeat: _stream_pb2.StreamHeartbeat
    closed: _stream_pb2.StreamClosed
    user_updated: _user_pb2.User
    added_to_room: RoomOfUser
    removed_from_room: RemovedFromRoom
    room_updated: _room_pb2.Room
    member_joined: MemberMoved
    member_left: MemberMoved
    room_deleted: RoomDeleted
    user_deleted: UserDeleted
    position: _user_position_pb2.UserPosition
    def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., opened: _Optional[_Union[UserOpened, _Mapping]] = ..., room: _Optional[_Union[RoomOfUser, _Mapping]] = ..., caught_up: _Optional[_Union[UserCaughtUp, _Mapping]] = ..., heartbeat: _Optional[_Union[_stream_pb2.StreamHeartbeat, _Mapping]] = ..., closed: _Optional[_Union[_stream_pb2.StreamClosed, _Mapping]] = ..., user_updated: _Optional[_Union[_user_pb2.User, _Mapping]] = ..., added_to_room: _Optional[_Union[RoomOfUser, _Mapping]] = ..., removed_from_room: _Optional[_Union[RemovedFromRoom, _Mapping]] = ..., room_updated: _Optional[_Union[_room_pb2.Room, _Mapping]] = ..., member_joined: _Optional[_Union[MemberMoved, _Mapping]] = ..., member_left: _Optional[_Union[MemberMoved, _Mapping]] = ..., room_deleted: _Optional[_Union[RoomDeleted, _Mapping]] = ..., user_deleted: _Optional[_Union[UserDeleted, _Mapping]] = ..., position: _Optional[_Union[_user_position_pb2.UserPosition, _Mapping]] = ...) -> None: ...
