"""What clients have recorded of rooms: every write with what came of it, every stream, every page, every removal.

All times are seconds by one clock that never goes back, which all clients share. Between the beginning and the end of a
call it has happened, if it has.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    """What an entry of a room's log does to a message."""

    SEND = "send"
    EDIT = "edit"
    DELETE = "delete"


class Outcome(StrEnum):
    """What the writer knows: an answer that was lost leaves open whether the write happened."""

    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of a log as somebody was shown it. A deletion has no content, and what it has deleted none any more."""

    seq: int
    kind: Kind
    message_seq: int
    content: str
    # By which its sender names it; only shown with a message, and only to its sender.
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Write:
    """A write, however often its call was repeated: from the first call's beginning to the last one's end."""

    room_id: str
    user_id: str
    kind: Kind
    # No two writes have the same content, so that it says whose an entry is.
    content: str
    began: float
    ended: float
    outcome: Outcome
    # As the answer said, if there was one; of what was written to, for edits and deletions.
    seq: int = 0
    message_seq: int = 0


@dataclass(frozen=True, slots=True)
class Arrival:
    """An entry that a stream has brought, and when."""

    entry: Entry
    at: float


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream of one room, from its opening to its end, whoever ended it.

    A stream that resumed goes on behind `after`. One that began with a snapshot shows the newest messages as they are
    then, which are no entries, and goes on behind the place that it tells, which is `after` here.
    """

    room_id: str
    user_id: str
    opened: float
    is_resumed: bool
    after: int
    # Which place the client asked to go on from; 0 for none.
    asked_after: int = 0
    snapshot: Sequence[Entry] = ()
    arrivals: Sequence[Arrival] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """Messages as a call has listed them: all between the first and the last of these places."""

    room_id: str
    user_id: str
    began: float
    ended: float
    first_seq: int
    last_seq: int
    messages: Sequence[Entry]


@dataclass(frozen=True, slots=True)
class Removal:
    """Somebody was taken out of a room, by a call that was answered at this time; until they are a member again."""

    room_id: str
    user_id: str
    ended: float
    until: float = float("inf")


@dataclass
class History:
    """All of it. `logs` is what each room had at the very end, when nothing moved any more, entry by entry."""

    writes: list[Write] = field(default_factory=list)
    streams: list[Stream] = field(default_factory=list)
    pages: list[Page] = field(default_factory=list)
    removals: list[Removal] = field(default_factory=list)
    logs: dict[str, list[Entry]] = field(default_factory=dict)
