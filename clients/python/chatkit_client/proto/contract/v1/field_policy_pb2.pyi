from chatkit_client.proto.contract.v1 import limit_pb2 as _limit_pb2
from google.protobuf import descriptor_pb2 as _descriptor_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Format(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FORMAT_UNSPECIFIED: _ClassVar[Format]
    FORMAT_IDENTIFIER: _ClassVar[Format]
    FORMAT_URL: _ClassVar[Format]
    FORMAT_MEDIA_TYPE: _ClassVar[Format]
    FORMAT_PERMISSION: _ClassVar[Format]
    FORMAT_VISIBLE_IDENTIFIER: _ClassVar[Format]
    FORMAT_VISIBLE: _ClassVar[Format]
    FORMAT_FILE_NAME: _ClassVar[Format]
    FORMAT_SHA256: _ClassVar[Format]
FORMAT_UNSPECIFIED: Format
FORMAT_IDENTIFIER: Format
FORMAT_URL: Format
FORMAT_MEDIA_TYPE: Format
FORMAT_PERMISSION: Format
FORMAT_VISIBLE_IDENTIFIER: Format
FORMAT_VISIBLE: Format
FORMAT_FILE_NAME: Format
FORMAT_SHA256: Format
FIELD_FIELD_NUMBER: _ClassVar[int]
field: _descriptor.FieldDescriptor
ONEOF_REQUIRED_FIELD_NUMBER: _ClassVar[int]
oneof_required: _descriptor.FieldDescriptor

class SumLimit(_message.Message):
    __slots__ = ("limit", "fields")
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    limit: _limit_pb2.Limit
    fields: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, limit: _Optional[_Union[_limit_pb2.Limit, str]] = ..., fields: _Optional[_Iterable[str]] = ...) -> None: ...

class PageSize(_message.Message):
    __slots__ = ("default_size", "maximum")
    DEFAULT_SIZE_FIELD_NUMBER: _ClassVar[int]
    MAXIMUM_FIELD_NUMBER: _ClassVar[int]
    default_size: _limit_pb2.Limit
    maximum: _limit_pb2.Limit
    def __init__(self, default_size: _Optional[_Union[_limit_pb2.Limit, str]] = ..., maximum: _Optional[_Union[_limit_pb2.Limit, str]] = ...) -> None: ...

class FieldPolicy(_message.Message):
    __slots__ = ("required", "format", "max_chars", "max_items", "max_json_bytes", "sum", "page_size", "max_value", "counted_in", "not_negative", "items_alone", "min_value", "permission", "max_bytes")
    REQUIRED_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    MAX_CHARS_FIELD_NUMBER: _ClassVar[int]
    MAX_ITEMS_FIELD_NUMBER: _ClassVar[int]
    MAX_JSON_BYTES_FIELD_NUMBER: _ClassVar[int]
    SUM_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    MAX_VALUE_FIELD_NUMBER: _ClassVar[int]
    COUNTED_IN_FIELD_NUMBER: _ClassVar[int]
    NOT_NEGATIVE_FIELD_NUMBER: _ClassVar[int]
    ITEMS_ALONE_FIELD_NUMBER: _ClassVar[int]
    MIN_VALUE_FIELD_NUMBER: _ClassVar[int]
    PERMISSION_FIELD_NUMBER: _ClassVar[int]
    MAX_BYTES_FIELD_NUMBER: _ClassVar[int]
    required: bool
    format: Format
    max_chars: _limit_pb2.Limit
    max_items: _limit_pb2.Limit
    max_json_bytes: _limit_pb2.Limit
    sum: SumLimit
    page_size: PageSize
    max_value: _limit_pb2.Limit
    counted_in: _limit_pb2.Limit
    not_negative: bool
    items_alone: bool
    min_value: _limit_pb2.Limit
    permission: str
    max_bytes: _limit_pb2.Limit
    def __init__(self, required: _Optional[bool] = ..., format: _Optional[_Union[Format, str]] = ..., max_chars: _Optional[_Union[_limit_pb2.Limit, str]] = ..., max_items: _Optional[_Union[_limit_pb2.Limit, str]] = ..., max_json_bytes: _Optional[_Union[_limit_pb2.Limit, str]] = ..., sum: _Optional[_Union[SumLimit, _Mapping]] = ..., page_size: _Optional[_Union[PageSize, _Mapping]] = ..., max_value: _Optional[_Union[_limit_pb2.Limit, str]] = ..., counted_in: _Optional[_Union[_limit_pb2.Limit, str]] = ..., not_negative: _Optional[bool] = ..., items_alone: _Optional[bool] = ..., min_value: _Optional[_Union[_limit_pb2.Limit, str]] = ..., permission: _Optional[str] = ..., max_bytes: _Optional[_Union[_limit_pb2.Limit, str]] = ...) -> None: ...
