"""Read cursors and read states as the domain sees them, and the rule of counting what is unread."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.runtime.ids import RoomUid, UserUid

# Beyond it a count is only known to be larger.
MOST_COUNTED = 1_000


@dataclass(frozen=True, slots=True)
class ReadCursor:
    """How far a user has read a room; the copy with the highest revision is the newest."""

    room_uid: RoomUid
    user_uid: UserUid
    user_id: str
    seq: int
    revision: int
    update_time: datetime


@dataclass(frozen=True, slots=True)
class Move:
    """Where a user's cursor is to go."""

    room_uid: RoomUid
    user_uid: UserUid
    user_id: str
    seq: int
    allow_backward: bool


@dataclass(frozen=True, slots=True)
class Moved:
    """The cursors that became visible between two snapshots; `horizon` is where the next look starts."""

    cursors: Sequence[ReadCursor]
    horizon: int


@dataclass(frozen=True, slots=True)
class Unread:
    """How many messages are unread; `is_capped` when there are more than `count`."""

    count: int
    is_capped: bool


@dataclass(frozen=True, slots=True)
class UnreadTotal:
    """How much is unread in several rooms, and in how many of them; `is_capped` when that is so of one of them."""

    count: int = 0
    is_capped: bool = False
    room_count: int = 0

    def plus(self, rooms: Sequence[Unread]) -> "UnreadTotal":
        """Return the total with more rooms."""
        return UnreadTotal(
            self.count + sum(room.count for room in rooms),
            self.is_capped or any(room.is_capped for room in rooms),
            self.room_count + sum(room.count > 0 for room in rooms),
        )


@dataclass(frozen=True, slots=True)
class ReadState:
    """What a room holds for a user; `last_message` is serialized."""

    room_uid: RoomUid
    cursor: ReadCursor | None
    unread: Unread
    last_message: bytes | None


def unread(head_ordinal: int, rest_ordinal: int | None, deleted: int, others: int = 0) -> Unread:
    """Count the messages from the first one after the cursor to the room's last, less those that were deleted.

    Where the reader's own do not count, the first ones were looked at, and `others` of them do; the rest begins behind
    them, and `deleted` is of the rest. Ordinals number a room's messages without holes; nothing has an ordinal when
    everything was read.
    """
    rest = 0 if rest_ordinal is None else head_ordinal - rest_ordinal + 1 - deleted
    count = others + max(rest, 0)
    return Unread(min(count, MOST_COUNTED), count > MOST_COUNTED)
