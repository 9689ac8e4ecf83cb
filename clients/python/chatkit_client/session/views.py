"""What a session shows. These are copies, which stay as they are while the session goes on."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from chatkit_client.connection import StreamPart
from chatkit_client.errors import ChatkitError
from chatkit_client.proto.messages.v1 import message_pb2, messages_service_pb2, read_cursor_pb2, read_state_pb2
from chatkit_client.proto.rooms.v1 import room_pb2


class ChangeKind(StrEnum):
    """What a change is about."""

    # An event of a room's log, with its seq: each comes once and in order, or a ROOM_RESET says that some do not.
    MESSAGE_CREATED = "message_created"
    MESSAGE_CHANGED = "message_changed"
    MESSAGE_DELETED = "message_deleted"
    # The room's messages begin anew: at first, and when more was missed than the suite replays. `seq` is the log's end.
    ROOM_RESET = "room_reset"
    # Older messages were loaded, or some of the oldest are there no longer.
    HISTORY_LOADED = "history_loaded"
    # A message of one's own that is not in the log yet: it was added, has failed, or is there no longer.
    PENDING = "pending"
    READ_STATE = "read_state"
    CURSOR = "cursor"
    TYPING = "typing"
    # Nothing more of the room's messages comes, and `error` says why.
    ROOM_CLOSED = "room_closed"
    # The user became a member of a room, or is none any more; the room's description was changed.
    ROOM_ADDED = "room_added"
    ROOM_CHANGED = "room_changed"
    ROOM_REMOVED = "room_removed"
    MEMBER_JOINED = "member_joined"
    MEMBER_LEFT = "member_left"
    # A user was changed or deleted; came or went.
    USER = "user"
    PRESENCE = "presence"
    # A part of the stream was refused, and `error` says why: what it has told stays as it was.
    PART_CLOSED = "part_closed"
    # Everything that was asked for has been told; on every stream once.
    CAUGHT_UP = "caught_up"
    # Changes that nobody has read in time were dropped: look at the session as it is.
    MISSED = "missed"
    # The last one. `error` says why, unless the program itself has closed the session.
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Change:
    """Something is another way now than it was. What else it is about is set where it applies."""

    kind: ChangeKind
    room_id: str = ""
    user_id: str = ""
    seq: int = 0
    message: message_pb2.Message | None = None
    error: ChatkitError | None = None
    part: StreamPart | None = None


@dataclass(frozen=True, slots=True)
class Pending:
    """A message of one's own that is not in the room's log as it was told so far.

    With a `message` it is stored. With an `error` it is not, as far as is known, and is sent again by nobody.
    """

    request: messages_service_pb2.SendMessageRequest
    message: message_pb2.Message | None = None
    error: ChatkitError | None = None


@dataclass(frozen=True, slots=True)
class RoomView:
    """A room as it is now."""

    id: str
    # None where the user is no member, as far as is known.
    room: room_pb2.Room | None
    member_ids: frozenset[str]
    # The newest ones that are there, from older to newer.
    messages: tuple[message_pb2.Message, ...]
    has_older: bool
    # In the order in which they were sent.
    pending: tuple[Pending, ...]
    # None where it was not told, or not asked for.
    read_state: read_state_pb2.ReadState | None
    # How far others have read, by their ids.
    cursors: Mapping[str, read_cursor_pb2.ReadCursor]
    typing_ids: frozenset[str]
    # Why its messages are not followed; None as long as they are.
    closed: ChatkitError | None
