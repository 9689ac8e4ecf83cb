"""One room of a session: what its stream tells, folded.

Each event of the log is taken once and in order. What does not fit ends the stream, for the next one resumes from here.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import grpc

from chatkit_client.errors import ChatkitError, from_closed
from chatkit_client.messages import message_of
from chatkit_client.proto.messages.v1 import (
    message_pb2,
    messages_service_pb2,
    position_pb2,
    read_cursor_pb2,
    read_state_pb2,
    room_event_pb2,
)
from chatkit_client.proto.rooms.v1 import room_pb2
from chatkit_client.proto.sync.v1 import room_to_follow_pb2
from chatkit_client.retry import Backoff, Clock
from chatkit_client.session.views import Change, ChangeKind, Pending, RoomView
from chatkit_client.session.window import Window

_TYPING_SECONDS = 1.5
_KINDS = {
    "message_created": ChangeKind.MESSAGE_CREATED,
    "message_deleted": ChangeKind.MESSAGE_DELETED,
    "message_gone": ChangeKind.MESSAGE_DELETED,
}


class Room:
    """A room that the user is in, or that is followed, or both."""

    def __init__(self, room_id: str, most: int, clock: Clock) -> None:
        self.room_id = room_id
        self.is_followed = False
        # The program has said so: memberships are followed without this room.
        self.is_unwanted = False
        self.detail = room_to_follow_pb2.ROOM_DETAIL_UNSPECIFIED
        # As the user's part tells it; None where the user is no member.
        self.description: room_pb2.Room | None = None
        self.member_ids: set[str] = set()
        # After the last event that was taken; None where the next stream starts with a snapshot.
        self.position: position_pb2.Position | None = None
        self.window = Window(most)
        self.pending: dict[str, Pending] = {}
        # Messages of a room are sent one after the other.
        self.sending = asyncio.Lock()
        # Until when others are typing.
        self.typing: dict[str, float] = {}
        self._most = most
        self._clock = clock
        # The snapshot that is being told, and the log that it is of.
        self._snapshot: Window | None = None
        self._epoch = ""
        self._read_state: read_state_pb2.ReadState | None = None
        self._cursors: dict[str, read_cursor_pb2.ReadCursor] = {}
        self._closed: ChatkitError | None = None
        # Of a room that closes again and again while the others go on.
        self._backoff = Backoff()
        # After which seq the suite has left events out.
        self._hole_after = -1
        # Events of kinds that are not here have a place in the log, or are of a later release.
        self._takers: dict[str, Callable[[Any], list[Change]]] = {
            "opened": self._open,
            "caught_up": self._catch_up,
            "heartbeat": self._hear,
            "closed": self._close,
            "read_state": self._set_read_state,
            "cursor_set": self._set_cursor,
            "typing": self._type,
        }

    @property
    def is_shown(self) -> bool:
        """Whether the user is in it, or it is followed."""
        return self.description is not None or self.is_followed

    def view(self) -> RoomView:
        """Return the room as it is now."""
        return RoomView(
            self.room_id,
            self.description,
            frozenset(self.member_ids),
            tuple(self.window),
            self.window.has_older,
            tuple(self.pending.values()),
            self._read_state,
            dict(self._cursors),
            frozenset(self.typing),
            self._closed,
        )

    def request(self, last: int) -> room_to_follow_pb2.RoomToFollow:
        """Return what follows the room from where it stands, with so many messages where it can't be resumed."""
        asked = room_to_follow_pb2.RoomToFollow(room_id=self.room_id, detail=self.detail)
        if self.position is not None:
            asked.after.CopyFrom(self.position)
            asked.max_snapshot_messages = last
        else:
            asked.last = last
        return asked

    def begin(self) -> None:
        """Go on with another stream: what the one before has not told to its end counts for nothing."""
        self._snapshot = None

    # What the stream tells.

    def take(self, event: room_event_pb2.RoomEvent) -> list[Change]:
        """Take an event; raises ChatkitError when the stream is over by it."""
        kind = event.WhichOneof("event") or ""
        if kind in self._takers:
            return self._takers[kind](getattr(event, kind))
        return self._take_entry(event)

    def _open(self, opened: room_event_pb2.Opened) -> list[Change]:
        event = room_event_pb2.RoomEvent(opened=opened)
        self.is_followed, self._closed, self._epoch = True, None, opened.position.epoch
        if opened.outcome == room_event_pb2.OUTCOME_SNAPSHOT:
            first_seq = opened.first_seq or opened.position.seq + 1
            self._snapshot = Window(self._most, first_seq, opened.oldest_seq)
            self._snapshot.see(event)
        elif opened.outcome == room_event_pb2.OUTCOME_RESUMED:
            return [self.change(ChangeKind.HISTORY_LOADED)] if self.window.resume(event) else []
        else:
            # Only the read state comes from now on: messages would grow old.
            had_messages = self.position is not None
            self.position, self.window = None, Window(self._most)
            return [*([self.change(ChangeKind.ROOM_RESET)] if had_messages else []), *self.drop_stored()]
        return []

    def _catch_up(self, caught_up: room_event_pb2.CaughtUp) -> list[Change]:
        seq = caught_up.seq
        if self._snapshot is None:
            self._expect(seq)
            return []
        self.window, self._snapshot = self._snapshot, None
        self.position = position_pb2.Position(epoch=self._epoch, seq=seq)
        for message in self.window:
            self._settle(message)
        self.drop_stored(seq)
        return [self.change(ChangeKind.ROOM_RESET, seq=seq)]

    def _hear(self, heartbeat: room_event_pb2.Heartbeat) -> list[Change]:
        self._expect(heartbeat.head_seq)
        return []

    def _take_entry(self, event: room_event_pb2.RoomEvent) -> list[Change]:
        if self._snapshot is not None:
            self._snapshot.see(event)
            return []
        if self.position is None or event.seq <= self.position.seq:
            return []
        self._expect(event.seq - 1)
        self.position = position_pb2.Position(epoch=self.position.epoch, seq=event.seq)
        self.window.see(event)
        self._backoff.succeeded()
        kind = _KINDS.get(event.WhichOneof("event") or "", ChangeKind.MESSAGE_CHANGED)
        message = message_of(event)
        if message is not None and kind is ChangeKind.MESSAGE_CREATED:
            self._settle(message)
            self.typing.pop(message.sender_id, None)
        # It may be gone by now, and is not shown then.
        self.drop_stored(event.seq)
        user_id = message.sender_id if message is not None else ""
        return [self.change(kind, seq=event.seq, message=message, user_id=user_id)]

    def _expect(self, seq: int) -> None:
        """Raise when the suite has left out events up to a seq: it is asked once more, and then begun with anew."""
        if self.position is None or self._snapshot is not None or seq <= self.position.seq:
            return
        after = self.position.seq
        if self._hole_after == after:
            self.position = None
        self._hole_after = after
        raise ChatkitError(grpc.StatusCode.UNAVAILABLE, "", f"the events {after + 1} to {seq} did not come")

    def _close(self, closed: room_event_pb2.Closed) -> list[Change]:
        ending = from_closed(closed)
        # A place is made by leaving another room, and never by asking again.
        if ending.is_resumable and ending.reason != "QUOTA_EXCEEDED":
            ending.retry_after = self._backoff.next_delay(ending.retry_after)
            raise ending
        self.is_followed, self._closed, self._snapshot = False, ending, None
        return [self.change(ChangeKind.ROOM_CLOSED, error=ending), *self.drop_stored()]

    def _set_read_state(self, read_state: read_state_pb2.ReadState) -> list[Change]:
        self._read_state = read_state
        return [self.change(ChangeKind.READ_STATE)]

    def _set_cursor(self, cursor: read_cursor_pb2.ReadCursor) -> list[Change]:
        known = self._cursors.get(cursor.user_id)
        if known is not None and known.revision >= cursor.revision:
            return []
        self._cursors[cursor.user_id] = cursor
        return [self.change(ChangeKind.CURSOR, user_id=cursor.user_id, seq=cursor.seq)]

    def _type(self, typing: room_event_pb2.Typing) -> list[Change]:
        user_id = typing.user_id
        is_new = user_id not in self.typing
        self.typing[user_id] = self._clock.monotonic() + _TYPING_SECONDS
        return [self.change(ChangeKind.TYPING, user_id=user_id)] if is_new else []

    # What is sent.

    def add_pending(self, request: messages_service_pb2.SendMessageRequest) -> Change:
        """Show a message that is about to be sent; one that has failed is sent again in its old place."""
        self.pending[request.request_id] = Pending(request)
        return self.change(ChangeKind.PENDING)

    def answer_pending(
        self, request_id: str, message: message_pb2.Message | None, error: ChatkitError | None = None
    ) -> list[Change]:
        """Keep what became of a message, unless its event has come before."""
        pending = self.pending.get(request_id)
        if pending is None:
            return []
        told = self.position if self.is_followed else None
        if message is not None and (told is None or message.seq <= told.seq):
            del self.pending[request_id]
        else:
            self.pending[request_id] = replace(pending, message=message, error=error)
        return [self.change(ChangeKind.PENDING, error=error)]

    def drop_pending(self, request_id: str) -> list[Change]:
        """Show a message no longer."""
        return [self.change(ChangeKind.PENDING)] if self.pending.pop(request_id, None) is not None else []

    def drop_stored(self, seq: int | None = None) -> list[Change]:
        """Show messages that are stored as pending no longer: up to a seq, or all because their events do not come."""
        stored = {request_id: one.message for request_id, one in self.pending.items() if one.message is not None}
        past = [request_id for request_id, message in stored.items() if seq is None or message.seq <= seq]
        return [change for request_id in past for change in self.drop_pending(request_id)]

    def _settle(self, message: message_pb2.Message) -> None:
        pending = self.pending.get(message.request_id)
        # Everybody who reads a message sees its request id, and may send with the same.
        if pending is not None and pending.request.sender_id in {"", message.sender_id}:
            del self.pending[message.request_id]

    def change(
        self,
        kind: ChangeKind,
        *,
        user_id: str = "",
        seq: int = 0,
        message: message_pb2.Message | None = None,
        error: ChatkitError | None = None,
    ) -> Change:
        """Return a change of this room."""
        return Change(kind, self.room_id, user_id, seq, message, error)
