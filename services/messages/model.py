"""The log as the domain sees it, and the rules of resuming."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum, auto
from typing import Self
from uuid import UUID

from services.runtime.ids import RoomId, RoomUid, UserId, UserUid
from services.runtime.kinds import Kind


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a room's log: after the event `seq` of the log `epoch`."""

    epoch: str
    seq: int


class EventKind(Kind):
    """What happened to a message; the numbers stand in the database."""

    # A later release wrote it: something happened to the message, which is to be looked at as it is now.
    UNKNOWN = 0
    CREATED = 1
    EDITED = 2
    DELETED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One event of a room's log, and the message that it is about as it was when the entry was read."""

    seq: int
    time: datetime
    # Serialized; None when retention has swept it.
    message: bytes | None
    kind: EventKind
    # Of the message: where it was created, the last event that had changed it, and whether it is deleted.
    message_seq: int
    revision: int
    is_deleted: bool

    @classmethod
    def created(cls, seq: int, time: datetime, message: bytes) -> Self:
        """Return the entry of a message that was never changed."""
        return cls(
            seq=seq, time=time, message=message, kind=EventKind.CREATED, message_seq=seq, revision=seq, is_deleted=False
        )

    @classmethod
    def changed(cls, seq: int, time: datetime, message: bytes, kind: EventKind, message_seq: int) -> Self:
        """Return the entry of an edit or a deletion, with the message as that has left it."""
        return cls(
            seq=seq,
            time=time,
            message=message,
            kind=kind,
            message_seq=message_seq,
            revision=seq,
            is_deleted=kind is EventKind.DELETED,
        )

    def showing(self, other: "LogEntry") -> Self:
        """Return this entry with its message as another entry has it."""
        return replace(self, message=other.message, revision=other.revision, is_deleted=other.is_deleted)

    def swept(self) -> Self:
        """Return this entry without its message."""
        return replace(self, message=None)


@dataclass(frozen=True, slots=True)
class MessagePage:
    """Serialized messages with their seqs, from older to newer, and whether others may lie before and after them."""

    messages: Sequence[tuple[int, bytes]]
    has_older: bool
    has_newer: bool


@dataclass(frozen=True, slots=True)
class Head:
    """The ends of a room's log."""

    seq: int
    oldest_seq: int
    # The room was deleted, and its log with it.
    is_erased: bool = False


# A room in which nothing was ever said has no head in the database.
EMPTY = Head(seq=0, oldest_seq=1)


def parts_hash(content_hash: bytes) -> bytes:
    """Return the hash of the parts alone, which a hash of custom data may follow: see `drafts.py`."""
    return content_hash[: hashlib.sha256().digest_size]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A message to append."""

    room_uid: RoomUid
    room_id: RoomId
    sender_uid: UserUid
    sender_id: UserId
    request_id: str
    content_hash: bytes
    # The serialized message without its place in the log.
    unplaced: bytes
    # When it was said, if that was not now: the log's time is never earlier than that of what stands before.
    time: datetime | None = None

    @property
    def key(self) -> tuple[RoomUid, UserUid, str]:
        """What makes a repetition of the send recognisable."""
        return (self.room_uid, self.sender_uid, self.request_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """New parts for a message that is there, and new custom data."""

    room_uid: RoomUid
    room_id: RoomId
    seq: int
    request_id: str
    content_hash: bytes
    # A serialized message with nothing but the parts.
    parts: bytes
    # Serialized, equal ones to equal bytes; empty takes away what is there, None leaves it.
    custom_data: bytes | None

    @property
    def key(self) -> tuple[RoomUid, int, str]:
        """What makes a repetition of the edit recognisable."""
        return (self.room_uid, self.seq, self.request_id)


@dataclass(frozen=True, slots=True)
class Deletion:
    """The end of a message that is there."""

    room_uid: RoomUid
    room_id: RoomId
    seq: int

    @property
    def key(self) -> tuple[RoomUid, int, str]:
        """What makes a repetition of the deletion recognisable; edits always have a request id."""
        return (self.room_uid, self.seq, "")

    @property
    def content_hash(self) -> bytes:
        """There is one content only."""
        return b""


@dataclass(frozen=True, slots=True)
class Anonymization:
    """Another sender for a message that is there, who is nobody."""

    room_uid: RoomUid
    room_id: RoomId
    seq: int
    pseudonym: UserId

    @property
    def key(self) -> tuple[RoomUid, int, str]:
        """What makes a repetition of the change recognisable; no request id has this character."""
        return (self.room_uid, self.seq, "\0")

    @property
    def content_hash(self) -> bytes:
        """What it says, which is the same whoever goes on with it."""
        return self.pseudonym.encode()


MessageChange = Edit | Deletion | Anonymization
Write = Draft | MessageChange
WriteKey = tuple[RoomUid, UserUid, str] | tuple[RoomUid, int, str]


class SnapshotReason(Enum):
    """Why a stream starts with a snapshot."""

    NEW = auto()
    TOO_FAR = auto()
    EPOCH = auto()
    RETENTION = auto()


@dataclass(frozen=True, slots=True)
class Start:
    """Where a subscriber asks to start: after a position, or with the last messages."""

    after: Position | None
    # How many messages there are at the most where it starts with a snapshot, be it because it can't resume.
    last: int


# Nothing of what was before.
NOW = Start(None, 0)


@dataclass(frozen=True, slots=True)
class RoomOpening:
    """How a stream starts: `snapshot` is None when it resumes."""

    position: Position
    oldest_seq: int
    snapshot: SnapshotReason | None
    entries: Sequence[LogEntry]

    @property
    def first_seq(self) -> int:
        """The seq of the first message of a snapshot; 0 without one."""
        return self.entries[0].seq if self.snapshot is not None and self.entries else 0


def room_epoch(deployment: UUID, room_uid: RoomUid) -> str:
    """Return the epoch of a room's log: it changes with the database's identity and with the room's."""
    digest = hashlib.sha256(deployment.bytes + room_uid.bytes).digest()
    return base64.urlsafe_b64encode(digest[:12]).decode()


def refusal_to_resume(after: Position, epoch: str, head: Head, most: int) -> SnapshotReason | None:
    """Return why a position can't be resumed from; None when it can."""
    if after.epoch != epoch or after.seq > head.seq:
        return SnapshotReason.EPOCH
    if after.seq < head.oldest_seq - 1:
        return SnapshotReason.RETENTION
    return SnapshotReason.TOO_FAR if head.seq - after.seq > most else None
