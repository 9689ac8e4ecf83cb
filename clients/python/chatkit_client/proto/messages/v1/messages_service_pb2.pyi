from chatkit_client.proto.contract.v1 import field_policy_pb2 as _field_policy_pb2
from chatkit_client.proto.contract.v1 import method_policy_pb2 as _method_policy_pb2
from chatkit_client.proto.messages.v1 import message_pb2 as _message_pb2
from chatkit_client.proto.messages.v1 import part_pb2 as _part_pb2
from chatkit_client.proto.messages.v1 import position_pb2 as _position_pb2
from chatkit_client.proto.messages.v1 import room_event_pb2 as _room_event_pb2
from chatkit_client.proto.messages.v1 import room_subscription_pb2 as _room_subscription_pb2
from chatkit_client.proto.messages.v1 import send_event_pb2 as _send_event_pb2
from chatkit_client.proto.messages.v1 import send_result_pb2 as _send_result_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Direction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DIRECTION_UNSPECIFIED: _ClassVar[Direction]
    DIRECTION_OLDER: _ClassVar[Direction]
    DIRECTION_NEWER: _ClassVar[Direction]
DIRECTION_UNSPECIFIED: Direction
DIRECTION_OLDER: Direction
DIRECTION_NEWER: Direction

class SendMessageRequest(_message.Message):
    __slots__ = ("room_id", "sender_id", "parts", "request_id", "custom_data")
    ROOM_ID_FIELD_NUMBER: _ClassVar[int]
    SENDER_ID_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOM_DATA_FIELD_NUMBER: _ClassVar[int]
    room_id: str
    sender_id: str
    parts: _containers.RepeatedCompositeFieldContainer[_part_pb2.Part]
    request_id: str
    custom_data: _struct_pb2.Struct
    def __init__(self, room_id: _Optional[str] = ..., sender_id: _Optional[str] = ..., parts: _Optional[_Iterable[_Union[_part_pb2.Part, _Mapping]]] = ..., request_id: _Optional[str] = ..., custom_data: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class SendMessageResponse(_message.Message):
    __slots__ = ("message",)
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    message: _message_pb2.Message
    def __init__(self, message: _Optional[_Union[_message_pb2.Message, _Mapping]] = ...) -> None: ...

class BatchSendMessagesRequest(_message.Message):
    __slots__ = ("requests",)
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[SendMessageRequest]
    def __init__(self, requests: _Optional[_Iterable[_Union[SendMessageRequest, _Mapping]]] = ...) -> None: ...

class BatchSendMessagesResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[_send_result_pb2.SendResult]
    def __init__(self, results: _Optional[_Iterable[_Union[_send_result_pb2.SendResult, _Mapping]]] = ...) -> None: ...

class SendMessagesRequest(_message.Message):
    __slots__ = ("requests",)
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[SendMessageRequest]
    def __init__(self, requests: _Optional[_Iterable[_Union[SendMessageRequest, _Mapping]]] = ...) -> None: ...

class SendMessagesResponse(_message.Message):
    __slots__ = ("events",)
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[_send_event_pb2.SendEvent]
    def __init__(self, events: _Optional[_Iterable[_Union[_send_event_pb2.SendEvent, _Mapping]]] = ...) -> None: ...

class EditMessageRequest(_message.Message):
    __slots__ = ("room_id", "seq", "parts", "request_id", "custom_data")
    ROOM_ID_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOM_DATA_FIELD_NUMBER: _ClassVar[int]
    room_id: str
    seq: int
    parts: _containers.RepeatedCompositeFieldContainer[_part_pb2.Part]
    request_id: str
    custom_data: _struct_pb2.Struct
    def __init__(self, room_id: _Optional[str] = ..., seq: _Optional[int] = ..., parts: _Optional[_Iterable[_Union[_part_pb2.Part, _Mapping]]] = ..., request_id: _Optional[str] = ..., custom_data: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class EditMessageResponse(_message.Message):
    __slots__ = ("message",)
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    message: _message_pb2.Message
    def __init__(self, message: _Optional[_Union[_message_pb2.Message, _Mapping]] = ...) -> None: ...

class DeleteMessageRequest(_message.Message):
    __slots__ = ("room_id", "seq")
    ROOM_ID_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    room_id: str
    seq: int
    def __init__(self, room_id: _Optional[str] = ..., seq: _Optional[int] = ...) -> None: ...

class DeleteMessageResponse(_message.Message):
    __slots__ = ("message",)
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    message: _message_pb2.Message
    def __init__(self, message: _Optional[_Union[_message_pb2.Message, _Mapping]] = ...) -> None: ...

class GetMessageRequest(_message.Message):
    __slots__ = ("room_id", "seq")
    ROOM_ID_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    room_id: str
    seq: int
    def __init__(self, room_id: _Optional[str] = ..., seq: _Optional[int] = ...) -> None: ...

class GetMessageResponse(_message.Message):
    __slots__ = ("message",)
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    message: _message_pb2.Message
    def __init__(self, message: _Optional[_Union[_message_pb2.Message, _Mapping]] = ...) -> None: ...

class BatchGetMessagesRequest(_message.Message):
    __slots__ = ("room_id", "seqs")
    ROOM_ID_FIELD_NUMBER: _ClassVar[int]
    SEQS_FIELD_NUMBER: _ClassVar[int]
    room_id: str
    seqs: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, room_id: _Optional[str] = ..., seqs: _Optional[_Iterable[int]] = ...) -> None: ...

class BatchGetMessagesResponse(_message.Message):
    __slots__ = ("messages",)
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    messages: _containers.RepeatedCompositeFieldContainer[_message_pb2.Message]
    def __init__(self, messages: _Optional[_Iterable[_Union[_message_pb2.Message, _Mapping]]] = ...) -> None: ...

class ListMessagesRequest(_message.Message):
    __slots__ = ("room_id", "direction", "from_seq", "page_size", "page_token", "around_seq")
    ROOM_ID_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    FROM_SEQ_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    AROUND_SEQ_FIELD_NUMBER: _ClassVar[int]
    room_id: str
    direction: Direction
    from_seq: int
    page_size: int
    page_token: str
    around_seq: int
    def __init__(self, room_id: _Optional[str] = ..., direction: _Optional[_Union[Direction, str]] = ..., from_seq: _Optional[int] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., around_seq: _Optional[int] = ...) -> None: ...

class ListMessagesResponse(_message.Message):
    __slots__ = ("messages", "next_page_token", "previous_page_token")
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    messages: _containers.RepeatedCompositeFieldContainer[_message_pb2.Message]
    next_page_token: str
    previous_page_token: str
    def __init__(self, messages: _Optional[_Iterable[_Union[_message_pb2.Message, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., previous_page_token: _Optional[str] = ...) -> None: ...

class ListRoomEventsRequest(_message.Message):
    __slots__ = ("room_id", "after", "page_size", "page_token")
    ROOM_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    room_id: str
    after: _position_pb2.Position
    page_size: int
    page_token: str
    def __init__(self, room_id: _Optional[str] = ..., after: _Optional[_Union[_position_pb2.Position, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListRoomEventsResponse(_message.Message):
    __slots__ = ("events", "position", "oldest_seq", "next_page_token")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    OLDEST_SEQ_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[_room_event_pb2.RoomEvent]
    position: _position_pb2.Position
    oldest_seq: int
    next_page_token: str
    def __init__(self, events: _Optional[_Iterable[_Union[_room_event_pb2.RoomEvent, _Mapping]]] = ..., position: _Optional[_Union[_position_pb2.Position, _Mapping]] = ..., oldest_seq: _Optional[int] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class SubscribeRoomRequest(_message.Message):
    __slots__ = ("room_id", "after", "last", "include_cursors", "max_snapshot_messages")
    ROOM_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_CURSORS_FIELD_NUMBER: _ClassVar[int]
    MAX_SNAPSHOT_MESSAGES_FIELD_NUMBER: _ClassVar[int]
    room_id: str
    after: _position_pb2.Position
    last: int
    include_cursors: bool
    max_snapshot_messages: int
    def __init__(self, room_id: _Optional[str] = ..., after: _Optional[_Union[_position_pb2.Position, _Mapping]] = ..., last: _Optional[int] = ..., include_cursors: _Optional[bool] = ..., max_snapshot_messages: _Optional[int] = ...) -> None: ...

class SubscribeRoomResponse(_message.Message):
    __slots__ = ("events",)
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[_room_event_pb2.RoomEvent]
    def __init__(self, events: _Optional[_Iterable[_Union[_room_event_pb2.RoomEvent, _Mapping]]] = ...) -> None: ...

class SubscribeRoomsRequest(_message.Message):
    __slots__ = ("user_id", "rooms", "default_last", "follow_memberships", "include_cursors", "include_read_states")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    ROOMS_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_LAST_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_MEMBERSHIPS_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_CURSORS_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_READ_STATES_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    rooms: _containers.RepeatedCompositeFieldContainer[_room_subscription_pb2.RoomSubscription]
    default_last: int
    follow_memberships: bool
    include_cursors: bool
    include_read_states: bool
    def __init__(self, user_id: _Optional[str] = ..., rooms: _Optional[_Iterable[_Union[_room_subscription_pb2.RoomSubscription, _Mapping]]] = ..., default_last: _Optional[int] = ..., follow_memberships: _Optional[bool] = ..., include_cursors: _Optional[bool] = ..., include_read_states: _Optional[bool] = ...) -> None: ...

class SubscribeRoomsResponse(_message.Message):
    __slots__ = ("events",)
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[_room_event_pb2.RoomEvent]
    def __init__(self, events: _Optional[_Iterable[_Union[_room_event_pb2.RoomEvent, _Mapping]]] = ...) -> None: ...

class SendTypingRequest(_message.Message):
    __slots__ = ("room_id", "user_id")
    ROOM_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    room_id: str
    user_id: str
    def __init__(self, room_id: _Optional[str] = ..., user_id: _Optional[str] = ...) -> None: ...

class SendTypingResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
