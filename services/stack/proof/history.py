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
    # What else was answered for the same request, which was sent more than once.
    also_seqs: Sequence[int] = ()


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
    # Which place the client asked to go on from, and in which epoch of the log; 0 for none.
    asked_after: int = 0
    asked_epoch: str = ""
    # The end of the log when it was opened, as the stream has told it.
    epoch: str = ""
    head: int | None = None
    snapshot: Sequence[Entry] = ()
    arrivals: Sequence[Arrival] = ()
    # It was read until nothing moved any more, and then for a while: it should have brought all there was.
    was_read_to_the_end: bool = False


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


@dataclass(frozen=True, slots=True)
class Muting:
    """From one answer to the beginning of another call a user had no right to write in any room."""

    user_id: str
    began: float
    ended: float


@dataclass(frozen=True, slots=True)
class CursorMove:
    """A read cursor was moved forward, in the order in which its user has done so."""

    room_id: str
    user_id: str
    seq: int
    outcome: Outcome
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class MemberChange:
    """Somebody came into a room or left it, in the order in which this was done; one after the other for each user."""

    room_id: str
    user_id: str
    is_member: bool
    outcome: Outcome
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Erasure:
    """What was deleted with all that it said, and when that was told to be done. Nothing of it is shown later."""

    what: str
    contents: tuple[str, ...]
    done: float


@dataclass(frozen=True, slots=True)
class Standing:
    """What a room held for a user at the very end; `told_by` names the call or the stream that said so."""

    room_id: str
    user_id: str
    told_by: str
    cursor: int
    unread_count: int
    last_seq: int
    last_content: str


@dataclass(frozen=True, slots=True)
class Presence:
    """Whether a user was told to be online at the very end, and whether they were."""

    user_id: str
    told_by: str
    is_online: bool
    was_online: bool


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that a message has: the digest of what was sent, and of what was there at the very end, if anything."""

    room_id: str
    file_id: str
    sent: str
    found: str
    at: float = 0.0


@dataclass
class History:
    """All of it. `logs` is what each room had at the very end, when nothing moved any more, entry by entry."""

    writes: list[Write] = field(default_factory=list)
    streams: list[Stream] = field(default_factory=list)
    pages: list[Page] = field(default_factory=list)
    removals: list[Removal] = field(default_factory=list)
    mutings: list[Muting] = field(default_factory=list)
    cursor_moves: list[CursorMove] = field(default_factory=list)
    member_changes: list[MemberChange] = field(default_factory=list)
    erasures: list[Erasure] = field(default_factory=list)
    # All of these as they were at the very end.
    logs: dict[str, list[Entry]] = field(default_factory=dict)
    standings: list[Standing] = field(default_factory=list)
    members: dict[str, frozenset[str]] = field(default_factory=dict)
    presences: list[Presence] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
