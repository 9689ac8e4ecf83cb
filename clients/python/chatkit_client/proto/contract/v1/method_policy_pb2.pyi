from chatkit_client.proto.contract.v1 import limit_pb2 as _limit_pb2
from google.protobuf import descriptor_pb2 as _descriptor_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Audience(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    AUDIENCE_UNSPECIFIED: _ClassVar[Audience]
    AUDIENCE_USER: _ClassVar[Audience]
    AUDIENCE_SUPERUSER: _ClassVar[Audience]
    AUDIENCE_SERVICE: _ClassVar[Audience]
    AUDIENCE_EDGE: _ClassVar[Audience]

class Membership(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MEMBERSHIP_UNSPECIFIED: _ClassVar[Membership]
    MEMBERSHIP_REQUIRED: _ClassVar[Membership]
    MEMBERSHIP_REQUIRED_UNLESS_PUBLIC: _ClassVar[Membership]
    MEMBERSHIP_NOT_REQUIRED: _ClassVar[Membership]
    MEMBERSHIP_REQUIRED_PER_ROOM: _ClassVar[Membership]
    MEMBERSHIP_REQUIRED_OF_USERS: _ClassVar[Membership]

class RateClass(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RATE_CLASS_UNSPECIFIED: _ClassVar[RateClass]
    RATE_CLASS_REQUEST: _ClassVar[RateClass]
    RATE_CLASS_SEND: _ClassVar[RateClass]
AUDIENCE_UNSPECIFIED: Audience
AUDIENCE_USER: Audience
AUDIENCE_SUPERUSER: Audience
AUDIENCE_SERVICE: Audience
AUDIENCE_EDGE: Audience
MEMBERSHIP_UNSPECIFIED: Membership
MEMBERSHIP_REQUIRED: Membership
MEMBERSHIP_REQUIRED_UNLESS_PUBLIC: Membership
MEMBERSHIP_NOT_REQUIRED: Membership
MEMBERSHIP_REQUIRED_PER_ROOM: Membership
MEMBERSHIP_REQUIRED_OF_USERS: Membership
RATE_CLASS_UNSPECIFIED: RateClass
RATE_CLASS_REQUEST: RateClass
RATE_CLASS_SEND: RateClass
METHOD_FIELD_NUMBER: _ClassVar[int]
method: _descriptor.FieldDescriptor

class RoomPolicy(_message.Message):
    __slots__ = ("field", "membership")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    MEMBERSHIP_FIELD_NUMBER: _ClassVar[int]
    field: str
    membership: Membership
    def __init__(self, field: _Optional[str] = ..., membership: _Optional[_Union[Membership, str]] = ...) -> None: ...

class MethodPolicy(_message.Message):
    __slots__ = ("audience", "permission", "room", "self_field", "repeatable", "request_bytes", "deadline_ms", "rate_class", "permission_for_others", "cost")
    AUDIENCE_FIELD_NUMBER: _ClassVar[int]
    PERMISSION_FIELD_NUMBER: _ClassVar[int]
    ROOM_FIELD_NUMBER: _ClassVar[int]
    SELF_FIELD_FIELD_NUMBER: _ClassVar[int]
    REPEATABLE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_BYTES_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_MS_FIELD_NUMBER: _ClassVar[int]
    RATE_CLASS_FIELD_NUMBER: _ClassVar[int]
    PERMISSION_FOR_OTHERS_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    audience: Audience
    permission: str
    room: RoomPolicy
    self_field: str
    repeatable: bool
    request_bytes: _limit_pb2.Limit
    deadline_ms: int
    rate_class: RateClass
    permission_for_others: str
    cost: int
    def __init__(self, audience: _Optional[_Union[Audience, str]] = ..., permission: _Optional[str] = ..., room: _Optional[_Union[RoomPolicy, _Mapping]] = ..., self_field: _Optional[str] = ..., repeatable: _Optional[bool] = ..., request_bytes: _Optional[_Union[_limit_pb2.Limit, str]] = ..., deadline_ms: _Optional[int] = ..., rate_class: _Optional[_Union[RateClass, str]] = ..., permission_for_others: _Optional[str] = ..., cost: _Optional[int] = ...) -> None: ...
