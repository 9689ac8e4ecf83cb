from google.protobuf import descriptor_pb2 as _descriptor_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class ErrorReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ERROR_REASON_UNSPECIFIED: _ClassVar[ErrorReason]
    ERROR_REASON_TOKEN_MISSING: _ClassVar[ErrorReason]
    ERROR_REASON_TOKEN_INVALID: _ClassVar[ErrorReason]
    ERROR_REASON_TOKEN_EXPIRED: _ClassVar[ErrorReason]
    ERROR_REASON_SUPERUSER_REQUIRED: _ClassVar[ErrorReason]
    ERROR_REASON_SERVICE_REQUIRED: _ClassVar[ErrorReason]
    ERROR_REASON_SUBJECT_MISMATCH: _ClassVar[ErrorReason]
    ERROR_REASON_PERMISSION_MISSING: _ClassVar[ErrorReason]
    ERROR_REASON_ROOM_ACCESS_DENIED: _ClassVar[ErrorReason]
    ERROR_REASON_SUBJECT_REQUIRED: _ClassVar[ErrorReason]
    ERROR_REASON_FIELD_REQUIRED: _ClassVar[ErrorReason]
    ERROR_REASON_FIELD_INVALID: _ClassVar[ErrorReason]
    ERROR_REASON_LIMIT_EXCEEDED: _ClassVar[ErrorReason]
    ERROR_REASON_PAGE_TOKEN_INVALID: _ClassVar[ErrorReason]
    ERROR_REASON_REQUEST_MALFORMED: _ClassVar[ErrorReason]
    ERROR_REASON_USER_NOT_FOUND: _ClassVar[ErrorReason]
    ERROR_REASON_ROOM_NOT_FOUND: _ClassVar[ErrorReason]
    ERROR_REASON_MESSAGE_NOT_FOUND: _ClassVar[ErrorReason]
    ERROR_REASON_METHOD_NOT_FOUND: _ClassVar[ErrorReason]
    ERROR_REASON_USER_ALREADY_EXISTS: _ClassVar[ErrorReason]
    ERROR_REASON_ROOM_ALREADY_EXISTS: _ClassVar[ErrorReason]
    ERROR_REASON_REQUEST_ID_REUSED: _ClassVar[ErrorReason]
    ERROR_REASON_BEING_DELETED: _ClassVar[ErrorReason]
    ERROR_REASON_ROOM_NOT_PUBLIC: _ClassVar[ErrorReason]
    ERROR_REASON_ETAG_MISMATCH: _ClassVar[ErrorReason]
    ERROR_REASON_CONTENTION: _ClassVar[ErrorReason]
    ERROR_REASON_QUOTA_EXCEEDED: _ClassVar[ErrorReason]
    ERROR_REASON_REQUEST_TOO_LARGE: _ClassVar[ErrorReason]
    ERROR_REASON_SLOW_CONSUMER: _ClassVar[ErrorReason]
    ERROR_REASON_HISTORY_GONE: _ClassVar[ErrorReason]
    ERROR_REASON_DATABASE_UNAVAILABLE: _ClassVar[ErrorReason]
    ERROR_REASON_SERVICE_UNAVAILABLE: _ClassVar[ErrorReason]
    ERROR_REASON_OUTCOME_UNKNOWN: _ClassVar[ErrorReason]
    ERROR_REASON_OVERLOADED: _ClassVar[ErrorReason]
    ERROR_REASON_SHUTTING_DOWN: _ClassVar[ErrorReason]
    ERROR_REASON_LOG_RESET: _ClassVar[ErrorReason]
    ERROR_REASON_REMOVED_FROM_ROOM: _ClassVar[ErrorReason]
    ERROR_REASON_ROOM_DELETED: _ClassVar[ErrorReason]
    ERROR_REASON_DEADLINE_EXCEEDED: _ClassVar[ErrorReason]
    ERROR_REASON_INTERNAL: _ClassVar[ErrorReason]
    ERROR_REASON_ROLE_NOT_FOUND: _ClassVar[ErrorReason]
    ERROR_REASON_ROLE_ALREADY_EXISTS: _ClassVar[ErrorReason]
    ERROR_REASON_ROLE_PROTECTED: _ClassVar[ErrorReason]
    ERROR_REASON_RATE_EXCEEDED: _ClassVar[ErrorReason]
    ERROR_REASON_DIRECT_ROOM: _ClassVar[ErrorReason]
    ERROR_REASON_BELOW_MINIMUM: _ClassVar[ErrorReason]
ERROR_REASON_UNSPECIFIED: ErrorReason
ERROR_REASON_TOKEN_MISSING: ErrorReason
ERROR_REASON_TOKEN_INVALID: ErrorReason
ERROR_REASON_TOKEN_EXPIRED: ErrorReason
ERROR_REASON_SUPERUSER_REQUIRED: ErrorReason
ERROR_REASON_SERVICE_REQUIRED: ErrorReason
ERROR_REASON_SUBJECT_MISMATCH: ErrorReason
ERROR_REASON_PERMISSION_MISSING: ErrorReason
ERROR_REASON_ROOM_ACCESS_DENIED: ErrorReason
ERROR_REASON_SUBJECT_REQUIRED: ErrorReason
ERROR_REASON_FIELD_REQUIRED: ErrorReason
ERROR_REASON_FIELD_INVALID: ErrorReason
ERROR_REASON_LIMIT_EXCEEDED: ErrorReason
ERROR_REASON_PAGE_TOKEN_INVALID: ErrorReason
ERROR_REASON_REQUEST_MALFORMED: ErrorReason
ERROR_REASON_USER_NOT_FOUND: ErrorReason
ERROR_REASON_ROOM_NOT_FOUND: ErrorReason
ERROR_REASON_MESSAGE_NOT_FOUND: ErrorReason
ERROR_REASON_METHOD_NOT_FOUND: ErrorReason
ERROR_REASON_USER_ALREADY_EXISTS: ErrorReason
ERROR_REASON_ROOM_ALREADY_EXISTS: ErrorReason
ERROR_REASON_REQUEST_ID_REUSED: ErrorReason
ERROR_REASON_BEING_DELETED: ErrorReason
ERROR_REASON_ROOM_NOT_PUBLIC: ErrorReason
ERROR_REASON_ETAG_MISMATCH: ErrorReason
ERROR_REASON_CONTENTION: ErrorReason
ERROR_REASON_QUOTA_EXCEEDED: ErrorReason
ERROR_REASON_REQUEST_TOO_LARGE: ErrorReason
ERROR_REASON_SLOW_CONSUMER: ErrorReason
ERROR_REASON_HISTORY_GONE: ErrorReason
ERROR_REASON_DATABASE_UNAVAILABLE: ErrorReason
ERROR_REASON_SERVICE_UNAVAILABLE: ErrorReason
ERROR_REASON_OUTCOME_UNKNOWN: ErrorReason
ERROR_REASON_OVERLOADED: ErrorReason
ERROR_REASON_SHUTTING_DOWN: ErrorReason
ERROR_REASON_LOG_RESET: ErrorReason
ERROR_REASON_REMOVED_FROM_ROOM: ErrorReason
ERROR_REASON_ROOM_DELETED: ErrorReason
ERROR_REASON_DEADLINE_EXCEEDED: ErrorReason
ERROR_REASON_INTERNAL: ErrorReason
ERROR_REASON_ROLE_NOT_FOUND: ErrorReason
ERROR_REASON_ROLE_ALREADY_EXISTS: ErrorReason
ERROR_REASON_ROLE_PROTECTED: ErrorReason
ERROR_REASON_RATE_EXCEEDED: ErrorReason
ERROR_REASON_DIRECT_ROOM: ErrorReason
ERROR_REASON_BELOW_MINIMUM: ErrorReason
ERROR_FIELD_NUMBER: _ClassVar[int]
error: _descriptor.FieldDescriptor

class ErrorDefinition(_message.Message):
    __slots__ = ("code",)
    CODE_FIELD_NUMBER: _ClassVar[int]
    code: int
    def __init__(self, code: _Optional[int] = ...) -> None: ...
