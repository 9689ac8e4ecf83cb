"""Everything that a session knows, folded from the events of its streams."""

from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from typing import Any

from chatkit_client.proto.rooms.v1 import room_pb2, user_event_pb2, user_position_pb2
from chatkit_client.proto.sync.v1 import sync_event_pb2
from chatkit_client.proto.users.v1 import presence_event_pb2, user_pb2
from chatkit_client.retry import Clock
from chatkit_client.session.room import Room
from chatkit_client.session.views import Change, ChangeKind, RoomView


class State:
    """Rooms, users, and who is there."""

    def __init__(self, most_messages: int, clock: Clock) -> None:
        self.rooms: dict[str, Room] = {}
        # Those that were told or read; who is in a room is not told with it.
        self.users: dict[str, user_pb2.User] = {}
        self.presence: dict[str, presence_event_pb2.Presence] = {}
        self.watched: set[str] = set()
        # The user's own id; empty before it was told.
        self.user_id = ""
        # After the last event of the user's part that was taken.
        self.user_position: user_position_pb2.UserPosition | None = None
        self._most_messages = most_messages
        self._clock = clock
        # The rooms of the state that is being told, if one is: the others are the user's no longer.
        self._told: set[str] | None = None
        # For each reading of users: those whose changes may have been missed meanwhile.
        self._readings: list[set[str]] = []
        self._takers: dict[str, Callable[[Any], list[Change]]] = {
            "opened": self._open_user,
            "room": self._tell_room,
            "caught_up": self._end_state,
            "added_to_room": self._describe,
            "removed_from_room": self._leave,
            "room_deleted": self._leave,
            "room_updated": self._update,
            "user_updated": lambda user: self.know([user]),
            "user_deleted": self._forget_user,
            "member_joined": lambda moved: self._move(moved, ChangeKind.MEMBER_JOINED),
            "member_left": lambda moved: self._move(moved, ChangeKind.MEMBER_LEFT),
        }

    def room(self, room_id: str) -> Room:
        """Return a room, which may be one of which nothing is known yet."""
        return self.rooms.get(room_id) or self.rooms.setdefault(
            room_id, Room(room_id, self._most_messages, self._clock)
        )

    def views(self) -> list[RoomView]:
        """Return the rooms that the user is in, or that are followed, as they are now."""
        return [room.view() for room in self.rooms.values() if room.is_shown]

    def begin(self) -> None:
        """Go on with another stream."""
        self._told = None
        for room in self.rooms.values():
            room.begin()

    def know(self, users: Iterable[user_pb2.User]) -> list[Change]:
        """Keep copies of users, but where there are newer ones."""
        changes = []
        for user in users:
            known = self.users.get(user.id)
            if known is None or known.update_time.ToNanoseconds() < user.update_time.ToNanoseconds():
                self.users[user.id] = user
                changes.append(Change(ChangeKind.USER, user_id=user.id))
        return changes

    @contextmanager
    def reading(self) -> Iterator[set[str]]:
        """Collect those of whom a copy that is being read may be old when it is here."""
        doubtful: set[str] = set()
        self._readings.append(doubtful)
        try:
            yield doubtful
        finally:
            self._readings.remove(doubtful)

    def take(self, event: sync_event_pb2.SyncEvent) -> list[Change]:
        """Take an event of any part; raises ChatkitError when the stream is over by it."""
        match event.WhichOneof("event"):
            case "room":
                return self._take_room(event)
            case "user":
                changes = self._take_user(event.user)
                if event.user.HasField("position"):
                    self.user_position = event.user.position
                return changes
            case "presence":
                return self._take_presence(event.presence)
            case "heartbeat" if event.heartbeat.HasField("user_position"):
                self.user_position = event.heartbeat.user_position
            case "caught_up":
                return [Change(ChangeKind.CAUGHT_UP)]
        return []

    def _take_room(self, event: sync_event_pb2.SyncEvent) -> list[Change]:
        room = self.room(event.room.room_id)
        if room.is_unwanted:
            return []
        changes = room.take(event.room)
        self._forget_if_over(room)
        return changes

    def _take_user(self, event: user_event_pb2.UserEvent) -> list[Change]:
        kind = event.WhichOneof("event") or ""
        taker = self._takers.get(kind)
        return taker(getattr(event, kind)) if taker is not None else []

    def _open_user(self, opened: user_event_pb2.UserOpened) -> list[Change]:
        self.user_id = opened.user.id
        if opened.resumed:
            return self.know([opened.user])
        self._told = set()
        # What became of others meanwhile is not told.
        for room in self.rooms.values():
            self._doubt(room.member_ids)
        return [*self._forget(self.users.keys() - {self.user_id}), *self.know([opened.user])]

    def _tell_room(self, of_user: user_event_pb2.RoomOfUser) -> list[Change]:
        if self._told is not None:
            self._told.add(of_user.room.id)
        return self._describe(of_user)

    def _end_state(self, _caught_up: user_event_pb2.UserCaughtUp) -> list[Change]:
        told, self._told = self._told, None
        gone = [room for room in self.rooms.values() if told is not None and room.room_id not in told]
        return [change for room in gone for change in self._leave(room)]

    def _forget_user(self, deleted: user_event_pb2.UserDeleted) -> list[Change]:
        return self._forget({deleted.user_id})

    def _forget(self, user_ids: AbstractSet[str]) -> list[Change]:
        for user_id in user_ids:
            self.users.pop(user_id, None)
        return [Change(ChangeKind.USER, user_id=user_id) for user_id in sorted(user_ids)]

    def _meet(self, user_ids: AbstractSet[str]) -> list[Change]:
        """Forget those with whom no room was shared so far, for their changes were not told."""
        self._doubt(user_ids)
        known = user_ids & self.users.keys() - {self.user_id}
        met = {user_id for room in self.rooms.values() for user_id in known & room.member_ids}
        return self._forget(known - met)

    def _doubt(self, user_ids: AbstractSet[str]) -> None:
        for doubtful in self._readings:
            doubtful.update(user_ids)

    def _describe(self, of_user: user_event_pb2.RoomOfUser) -> list[Change]:
        description = of_user.room
        room, member_ids = self.room(description.id), set(of_user.membership.user_ids)
        is_new, before = room.description is None, (room.description, room.member_ids)
        description.member_count = len(member_ids)
        changes = self._meet(member_ids - room.member_ids)
        room.description, room.member_ids = description, member_ids
        if is_new:
            changes.append(room.change(ChangeKind.ROOM_ADDED))
        elif before != (description, member_ids):
            changes.append(room.change(ChangeKind.ROOM_CHANGED))
        return changes

    def _update(self, description: room_pb2.Room) -> list[Change]:
        room = self.rooms.get(description.id)
        if room is None or room.description is None:
            return []
        description.member_count = len(room.member_ids)
        room.description = description
        return [room.change(ChangeKind.ROOM_CHANGED)]

    def _move(self, moved: user_event_pb2.MemberMoved, kind: ChangeKind) -> list[Change]:
        room = self.rooms.get(moved.room_id)
        if room is None or room.description is None:
            return []
        changes = []
        if kind is ChangeKind.MEMBER_JOINED:
            changes = self._meet({moved.user_id} - room.member_ids)
            room.member_ids.add(moved.user_id)
        else:
            room.member_ids.discard(moved.user_id)
        description = room_pb2.Room()
        description.CopyFrom(room.description)
        description.member_count = len(room.member_ids)
        room.description = description
        return [*changes, room.change(kind, user_id=moved.user_id)]

    def _leave(self, left: user_event_pb2.RemovedFromRoom | user_event_pb2.RoomDeleted | Room) -> list[Change]:
        room = self.rooms.get(left.room_id)
        if room is None or room.description is None:
            return []
        room.description = None
        room.member_ids.clear()
        self._forget_if_over(room)
        return [room.change(ChangeKind.ROOM_REMOVED)]

    def _forget_if_over(self, room: Room) -> None:
        if room.description is None and not room.is_followed and not room.pending:
            self.rooms.pop(room.room_id, None)
            if room.is_unwanted or room.detail:
                # This holds when the user comes back to the room, as it does on the open stream.
                again = self.room(room.room_id)
                again.is_unwanted, again.detail = room.is_unwanted, room.detail

    def _take_presence(self, event: presence_event_pb2.PresenceEvent) -> list[Change]:
        match event.WhichOneof("event"):
            case "presence" | "presence_changed" as kind:
                presence: presence_event_pb2.Presence = getattr(event, kind)
                if presence.user_id in self.watched and self.presence.get(presence.user_id) != presence:
                    self.presence[presence.user_id] = presence
                    return [Change(ChangeKind.PRESENCE, user_id=presence.user_id)]
        return []
