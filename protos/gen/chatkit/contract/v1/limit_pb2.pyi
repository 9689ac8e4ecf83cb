from google.protobuf import descriptor_pb2 as _descriptor_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class Limit(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LIMIT_UNSPECIFIED: _ClassVar[Limit]
    LIMIT_ROOM_MEMBERS: _ClassVar[Limit]
    LIMIT_MESSAGE_BYTES: _ClassVar[Limit]
    LIMIT_CUSTOM_DATA_BYTES: _ClassVar[Limit]
    LIMIT_RESUME_MESSAGES: _ClassVar[Limit]
    LIMIT_MEMBERS_PER_REQUEST: _ClassVar[Limit]
    LIMIT_ROOM_NAME_CHARS: _ClassVar[Limit]
    LIMIT_ID_CHARS: _ClassVar[Limit]
    LIMIT_USER_NAME_CHARS: _ClassVar[Limit]
    LIMIT_USERS_PER_BATCH: _ClassVar[Limit]
    LIMIT_USERS_PER_GET: _ClassVar[Limit]
    LIMIT_PARTS_PER_MESSAGE: _ClassVar[Limit]
    LIMIT_PAGE_SIZE_DEFAULT: _ClassVar[Limit]
    LIMIT_PAGE_SIZE: _ClassVar[Limit]
    LIMIT_REQUEST_ID_CHARS: _ClassVar[Limit]
    LIMIT_URL_CHARS: _ClassVar[Limit]
    LIMIT_CONTENT_TYPE_CHARS: _ClassVar[Limit]
    LIMIT_PAGE_TOKEN_CHARS: _ClassVar[Limit]
    LIMIT_ETAG_CHARS: _ClassVar[Limit]
    LIMIT_UPDATE_MASK_PATHS: _ClassVar[Limit]
    LIMIT_REQUEST_BYTES: _ClassVar[Limit]
    LIMIT_BATCH_REQUEST_BYTES: _ClassVar[Limit]
    LIMIT_STREAMS_PER_USER: _ClassVar[Limit]
    LIMIT_REQUESTS_PER_USER_PER_SECOND: _ClassVar[Limit]
    LIMIT_SENDS_PER_USER_PER_SECOND: _ClassVar[Limit]
    LIMIT_RETENTION_DAYS: _ClassVar[Limit]
    LIMIT_MESSAGES_PER_BATCH: _ClassVar[Limit]
    LIMIT_ROOMS_PER_SUBSCRIPTION: _ClassVar[Limit]
    LIMIT_WATCHED_USERS: _ClassVar[Limit]
    LIMIT_FILE_BYTES: _ClassVar[Limit]
    LIMIT_STORAGE_BYTES_PER_USER: _ClassVar[Limit]
    LIMIT_EPOCH_CHARS: _ClassVar[Limit]
    LIMIT_STREAMS_PER_PROCESS: _ClassVar[Limit]
    LIMIT_STREAMS_PER_CONNECTION: _ClassVar[Limit]
    LIMIT_ROLE_NAME_CHARS: _ClassVar[Limit]
    LIMIT_PERMISSIONS_PER_REQUEST: _ClassVar[Limit]
    LIMIT_PERMISSION_CHARS: _ClassVar[Limit]
    LIMIT_TOKEN_CHARS: _ClassVar[Limit]
    LIMIT_HEADERS_BYTES: _ClassVar[Limit]
    LIMIT_PUSH_TITLE_CHARS: _ClassVar[Limit]
    LIMIT_FILE_NAME_CHARS: _ClassVar[Limit]
    LIMIT_FILE_CHUNK_BYTES: _ClassVar[Limit]
    LIMIT_UPLOADS_PER_USER: _ClassVar[Limit]
    LIMIT_UPLOADS_PER_PROCESS: _ClassVar[Limit]
    LIMIT_SHA256_CHARS: _ClassVar[Limit]
    LIMIT_FILES_PER_CALL: _ClassVar[Limit]
    LIMIT_DOWNLOADS_PER_PROCESS: _ClassVar[Limit]
    LIMIT_ROOMS_CREATED_PER_USER: _ClassVar[Limit]
    LIMIT_ROOMS_CREATED_PER_USER_PER_DAY: _ClassVar[Limit]
    LIMIT_ROOMS_PER_USER: _ClassVar[Limit]
    LIMIT_ROOMS_GIVEN_PER_USER: _ClassVar[Limit]
    LIMIT_DOWNLOADS_PER_FILE: _ClassVar[Limit]
LIMIT_UNSPECIFIED: Limit
LIMIT_ROOM_MEMBERS: Limit
LIMIT_MESSAGE_BYTES: Limit
LIMIT_CUSTOM_DATA_BYTES: Limit
LIMIT_RESUME_MESSAGES: Limit
LIMIT_MEMBERS_PER_REQUEST: Limit
LIMIT_ROOM_NAME_CHARS: Limit
LIMIT_ID_CHARS: Limit
LIMIT_USER_NAME_CHARS: Limit
LIMIT_USERS_PER_BATCH: Limit
LIMIT_USERS_PER_GET: Limit
LIMIT_PARTS_PER_MESSAGE: Limit
LIMIT_PAGE_SIZE_DEFAULT: Limit
LIMIT_PAGE_SIZE: Limit
LIMIT_REQUEST_ID_CHARS: Limit
LIMIT_URL_CHARS: Limit
LIMIT_CONTENT_TYPE_CHARS: Limit
LIMIT_PAGE_TOKEN_CHARS: Limit
LIMIT_ETAG_CHARS: Limit
LIMIT_UPDATE_MASK_PATHS: Limit
LIMIT_REQUEST_BYTES: Limit
LIMIT_BATCH_REQUEST_BYTES: Limit
LIMIT_STREAMS_PER_USER: Limit
LIMIT_REQUESTS_PER_USER_PER_SECOND: Limit
LIMIT_SENDS_PER_USER_PER_SECOND: Limit
LIMIT_RETENTION_DAYS: Limit
LIMIT_MESSAGES_PER_BATCH: Limit
LIMIT_ROOMS_PER_SUBSCRIPTION: Limit
LIMIT_WATCHED_USERS: Limit
LIMIT_FILE_BYTES: Limit
LIMIT_STORAGE_BYTES_PER_USER: Limit
LIMIT_EPOCH_CHARS: Limit
LIMIT_STREAMS_PER_PROCESS: Limit
LIMIT_STREAMS_PER_CONNECTION: Limit
LIMIT_ROLE_NAME_CHARS: Limit
LIMIT_PERMISSIONS_PER_REQUEST: Limit
LIMIT_PERMISSION_CHARS: Limit
LIMIT_TOKEN_CHARS: Limit
LIMIT_HEADERS_BYTES: Limit
LIMIT_PUSH_TITLE_CHARS: Limit
LIMIT_FILE_NAME_CHARS: Limit
LIMIT_FILE_CHUNK_BYTES: Limit
LIMIT_UPLOADS_PER_USER: Limit
LIMIT_UPLOADS_PER_PROCESS: Limit
LIMIT_SHA256_CHARS: Limit
LIMIT_FILES_PER_CALL: Limit
LIMIT_DOWNLOADS_PER_PROCESS: Limit
LIMIT_ROOMS_CREATED_PER_USER: Limit
LIMIT_ROOMS_CREATED_PER_USER_PER_DAY: Limit
LIMIT_ROOMS_PER_USER: Limit
LIMIT_ROOMS_GIVEN_PER_USER: Limit
LIMIT_DOWNLOADS_PER_FILE: Limit
LIMIT_FIELD_NUMBER: _ClassVar[int]
limit: _descriptor.FieldDescriptor

class LimitDefinition(_message.Message):
    __slots__ = ("default_value", "unit", "description", "planned")
    DEFAULT_VALUE_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    PLANNED_FIELD_NUMBER: _ClassVar[int]
    default_value: int
    unit: str
    description: str
    planned: bool
    def __init__(self, default_value: _Optional[int] = ..., unit: _Optional[str] = ..., description: _Optional[str] = ..., planned: _Optional[bool] = ...) -> None: ...
