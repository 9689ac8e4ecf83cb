from chatkit_client.proto.contract.v1 import field_policy_pb2 as _field_policy_pb2
from chatkit_client.proto.contract.v1 import method_policy_pb2 as _method_policy_pb2
from chatkit_client.proto.messages.v1 import read_cursor_pb2 as _read_cursor_pb2
from chatkit_client.proto.messages.v1 import read_state_pb2 as _read_state_pb2
from chatkit_client.proto.messages.v1 import room_summary_pb2 as _room_summary_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SetReadCursorRequest(_message.Message):
    __slots__ = ("room_id", "user_id", "seq", "allow_backward")
    ROOM_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    ALLOW_BACKWARD_FIELD_NUMBER: _ClassVar[int]
    room_id: str
    user_id: str
    seq: int
    allow_backward: bool
    def __init__(self, room_id: _Optional[str] = ..., user_id: _Optional[str] = ..., seq: _Optional[int] = ..., allow_backward: _Optional[bool] = ...) -> None: ...

class SetReadCursorResponse(_message.Message):
    __slots__ = ("cursor",)
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    cursor: _read_cursor_pb2.ReadCursor
    def __init__(self, cursor: _Optional[_Union[_read_cursor_pb2.ReadCursor, _Mapping]] = ...) -> None: ...

class GetReadCursorRequest(_message.Message):
    __slots__ = ("room_id", "user_id")
    ROOM_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    room_id: str
    user_id: str
    def __init__(self, room_id: _Optional[str] = ..., user_id: _Optional[str] = ...) -> None: ...

class GetReadCursorResponse(_message.Message):
    __slots__ = ("cursor",)
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    cursor: _read_cursor_pb2.ReadCursor
    def __init__(self, cursor: _Optional[_Union[_read_cursor_pb2.ReadCursor, _Mapping]] = ...) -> None: ...

class ListReadCursorsRequest(_message.Message):
    __slots__ = ("room_id", "user_id", "page_size", "page_token")
    ROOM_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    room_id: str
    user_id: str
    page_size: int
    page_token: str
    def __init__(self, room_id: _Optional[str] = ..., user_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListReadCursorsResponse(_message.Message):
    __slots__ = ("cursors", "next_page_token")
    CURSORS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    cursors: _containers.RepeatedCompositeFieldContainer[_read_cursor_pb2.ReadCursor]
    next_page_token: str
    def __init__(self, cursors: _Optional[_Iterable[_Union[_read_cursor_pb2.ReadCursor, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListReadStatesRequest(_message.Message):
    __slots__ = ("user_id", "room_id", "page_size", "page_token")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    ROOM_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    room_id: str
    page_size: int
    page_token: str
    def __init__(self, user_id: _Optional[str] = ..., room_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListReadStatesResponse(_message.Message):
    __slots__ = ("read_states", "next_page_token")
    READ_STATES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    read_states: _containers.RepeatedCompositeFieldContainer[_read_state_pb2.ReadState]
    next_page_token: str
    def __init__(self, read_states: _Optional[_Iterable[_Union[_read_state_pb2.ReadState, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetUnreadTotalRequest(_message.Message):
    __slots__ = ("user_id",)
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    def __init__(self, user_id: _Optional[str] = ...) -> None: ...

class GetUnreadTotalResponse(_message.Message):
    __slots__ = ("unread_count", "unread_capped", "unread_room_count")
    UNREAD_COUNT_FIELD_NUMBER: _ClassVar[int]
    UNREAD_CAPPED_FIELD_NUMBER: _ClassVar[int]
    UNREAD_ROOM_COUNT_FIELD_NUMBER: _ClassVar[int]
    unread_count: int
    unread_capped: bool
    unread_room_count: int
    def __init__(self, unread_count: _Optional[int] = ..., unread_capped: _Optional[bool] = ..., unread_room_count: _Optional[int] = ...) -> None: ...

class ListRoomSummariesRequest(_message.Message):
    __slots__ = ("user_id", "page_size", "page_token")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    page_size: int
    page_token: str
    def __init__(self, user_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListRoomSummariesResponse(_message.Message):
    __slots__ = ("summaries", "next_page_token")
    SUMMARIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    summaries: _containers.RepeatedCompositeFieldContainer[_room_summary_pb2.RoomSummary]
    next_page_token: str
    def __init__(self, summaries: _Optional[_Iterable[_Union[_room_summary_pb2.RoomSummary, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
