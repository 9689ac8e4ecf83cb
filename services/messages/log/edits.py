"""What changes of messages that are there do to them: found under the locks of their heads, changed, written back.

A change that changes nothing takes no seq: an edit to equal content, a deletion of what is deleted, and a repetition.
Who may not be known any more as the sender of a message is forgotten by its row in the same transaction.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, assert_never

from services.messages import frames
from services.messages.log.tables import shown_request_id
from services.messages.model import Anonymization, Deletion, Edit, EventKind, LogEntry, MessageChange, parts_hash
from services.runtime.contract.errors import AlreadyExists, ChatkitError, NotFound
from services.runtime.ids import NO_USER, RoomUid, UserUid

# One row for each change whose message is there; the event's hash is there when the edit was done before.
FIND = f"""
    SELECT w.room_uid, w.seq, w.request_id, m.message, m.create_time, m.ordinal, coalesce(m.revision, m.seq),
        coalesce(m.edited_hash, m.content_hash), m.delete_time IS NOT NULL, {shown_request_id("m")}, e.content_hash
    FROM unnest(%b::uuid[], %b::bigint[], %b::text[]) AS w (room_uid, seq, request_id)
    JOIN messages.messages AS m USING (room_uid, seq)
    LEFT JOIN messages.events AS e
        ON e.room_uid = w.room_uid AND e.message_seq = w.seq AND e.request_id = w.request_id
"""  # noqa: S608 - literals above
INSERT = """
    INSERT INTO messages.events (room_uid, seq, kind, message_seq, ordinal, request_id, content_hash, time)
    SELECT * FROM unnest(%b::uuid[], %b::bigint[], %b::smallint[], %b::bigint[], %b::bigint[], %b::text[], %b::bytea[],
        %b::timestamptz[])
"""
UPDATE = """
    UPDATE messages.messages AS m
    SET message = n.message, revision = n.revision, edited_hash = n.edited_hash, delete_time = n.delete_time
    FROM unnest(%b::uuid[], %b::bigint[], %b::bytea[], %b::bigint[], %b::bytea[], %b::timestamptz[])
        AS n (room_uid, seq, message, revision, edited_hash, delete_time)
    WHERE m.room_uid = n.room_uid AND m.seq = n.seq
"""
# The seq keeps the row from being taken for another one's repetition.
FORGET_SENDERS = """
    UPDATE messages.messages AS m SET sender_uid = %b, request_id = m.seq
    FROM unnest(%b::uuid[], %b::bigint[]) AS n (room_uid, seq) WHERE m.room_uid = n.room_uid AND m.seq = n.seq
"""


@dataclass(slots=True)
class _Target:
    """A message as it is while a batch is put together."""

    message: bytes
    create_time: datetime
    ordinal: int
    revision: int
    # Of the parts as they are now, and of custom data as it was sent if the message was never edited.
    content_hash: bytes
    is_deleted: bool
    # That it is shown with.
    request_id: str | None
    delete_time: datetime | None = None
    is_changed: bool = False

    @property
    def shown(self) -> bytes:
        """The message as it is shown."""
        return frames.shown_message(self.message, self.request_id)


@dataclass(frozen=True, slots=True)
class _Event:
    change: MessageChange
    entry: LogEntry
    ordinal: int | None


class Changes:
    """The messages that a batch of changes is about, and the events that it makes."""

    def __init__(self, found: Iterable[tuple[Any, ...]]) -> None:
        self._targets: dict[tuple[RoomUid, int], _Target] = {}
        # The hashes of the edits that were done before.
        self._done: dict[tuple[RoomUid, int, str], bytes] = {}
        self._events: list[_Event] = []
        for room_uid, seq, request_id, *columns, done in found:
            self._targets.setdefault((room_uid, seq), _Target(*columns))
            if done is not None:
                self._done[room_uid, seq, request_id] = done

    def __bool__(self) -> bool:
        """Tell whether anything is to be written."""
        return bool(self._events)

    def without(self, change: MessageChange) -> LogEntry | ChatkitError | None:
        """Return what answers a change that changes nothing; None when it takes a seq."""
        target = self._targets.get((change.room_uid, change.seq))
        if target is None:
            return message_not_found(change.room_id, change.seq)
        match change:
            case Edit():
                done = self._done.get(change.key)
                if done is not None and done != change.content_hash:
                    return request_id_reused(change.request_id)
                if done is None and target.is_deleted:
                    return message_not_found(change.room_id, change.seq)
                is_idle = done is not None or _is_as_edited(target, change)
            case Deletion():
                is_idle = target.is_deleted
            case Anonymization():
                if target.is_deleted:
                    return message_not_found(change.room_id, change.seq)
                is_idle = frames.sender_of(target.message) == change.pseudonym
            case _:
                assert_never(change)
        return _as_it_is(change, target) if is_idle else None

    def apply(self, change: MessageChange, seq: int, time: datetime) -> LogEntry:
        """Change a message by an event that has its place in the log."""
        target = self._targets[change.room_uid, change.seq]
        target.revision, target.is_changed = seq, True
        match change:
            case Edit():
                kind, ordinal = EventKind.EDITED, None
                target.message = frames.edited_message(target.message, change.parts, change.custom_data, seq, time)
                target.content_hash = parts_hash(change.content_hash)
            case Deletion():
                kind, ordinal = EventKind.DELETED, target.ordinal
                target.message = frames.deleted_message(change.room_id, change.seq, seq, time)
                target.delete_time, target.is_deleted, target.request_id = time, True, None
            case Anonymization():
                kind, ordinal = EventKind.EDITED, None
                target.message = frames.anonymized_message(target.message, change.pseudonym, seq)
                target.request_id = None
            case _:
                assert_never(change)
        entry = LogEntry.changed(seq, time, target.shown, kind, change.seq)
        self._events.append(_Event(change, entry, ordinal))
        return entry

    def without_sender(self) -> tuple[UserUid, list[RoomUid], list[int]] | None:
        """Return what FORGET_SENDERS takes: messages that are nobody's from now on; None where there are none."""
        changes = [event.change for event in self._events if isinstance(event.change, Anonymization)]
        if not changes:
            return None
        return NO_USER, [change.room_uid for change in changes], [change.seq for change in changes]

    def event_columns(self) -> tuple[list[Any], ...]:
        """Return what INSERT takes."""
        return _columns(
            (
                event.change.room_uid,
                event.entry.seq,
                int(event.entry.kind),
                event.change.seq,
                event.ordinal,
                *_request_of(event.change),
                event.entry.time,
            )
            for event in self._events
        )

    def message_columns(self) -> tuple[list[Any], ...]:
        """Return what UPDATE takes: each message that was changed, as the last change left it."""
        return _columns(
            (
                room_uid,
                seq,
                target.message,
                target.revision,
                None if target.is_deleted else target.content_hash,
                target.delete_time,
            )
            for (room_uid, seq), target in self._targets.items()
            if target.is_changed
        )


def wanted(changes: Sequence[MessageChange]) -> tuple[list[Any], ...]:
    """Return what FIND takes."""
    return (
        [change.room_uid for change in changes],
        [change.seq for change in changes],
        [_request_of(change)[0] or "" for change in changes],
    )


def _request_of(change: MessageChange) -> tuple[str | None, bytes | None]:
    """Return the request id and the content of a change that can be repeated with another content."""
    match change:
        case Edit():
            return change.request_id, change.content_hash
        case Deletion() | Anonymization():
            return None, None
        case _:
            assert_never(change)


def message_not_found(room_id: str, seq: int) -> NotFound:
    """Return the error for a message that is not there."""
    return NotFound("MESSAGE_NOT_FOUND", "the room has no such message", metadata={"room_id": room_id, "seq": str(seq)})


def request_id_reused(request_id: str) -> AlreadyExists:
    """Return the error for a request id that stands for other content."""
    return AlreadyExists(
        "REQUEST_ID_REUSED",
        "the request id was used with other content",
        metadata={"request_id": request_id},
    )


def _is_as_edited(target: _Target, edit: Edit) -> bool:
    # The custom data itself is compared, because the release before edits messages without knowing it.
    return parts_hash(target.content_hash) == parts_hash(edit.content_hash) and (
        edit.custom_data is None or frames.custom_data_of(target.message) == edit.custom_data
    )


def _as_it_is(change: MessageChange, target: _Target) -> LogEntry:
    return replace(
        LogEntry.created(change.seq, target.create_time, target.shown),
        revision=target.revision,
        is_deleted=target.is_deleted,
    )


def _columns(rows: Iterable[tuple[Any, ...]]) -> tuple[list[Any], ...]:
    return tuple(list(column) for column in zip(*rows, strict=True))
