"""Who follows which room and which user here, and how a change reaches them. Nothing is awaited.

The index stands at one version of the changes. Delivering a change moves it and queues the events in the same step, so
each subscription has exactly the changes after the version of its own state.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Generic, Protocol, TypeVar

from services.rooms.model import Change, ChangeKind, RoomView
from services.rooms.user_streams import frames
from services.rooms.user_streams.frames import Event
from services.rooms.user_streams.position import UserPosition
from services.runtime.ids import RoomId, RoomUid, UserId

# Of a change that has none, which only hands in the database make.
_NO_TIME = datetime.fromtimestamp(0, UTC)


class Subscriber(Protocol):
    """Whoever is told the changes of a user's rooms."""

    # The user.
    user_id: str
    # The changes up to this version are known already.
    version: int
    # The rooms that are followed, which are the index's to change.
    rooms: set[RoomUid]

    def push(self, event: Event) -> None:
        """Take an event."""


_Subscriber = TypeVar("_Subscriber", bound=Subscriber)


@dataclass(slots=True)
class _Followed(Generic[_Subscriber]):
    """A room that somebody here is in."""

    # The one copy that all who follow the room have: there may be very many of them.
    room_uid: RoomUid
    room_id: RoomId
    subscriptions: set[_Subscriber] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Rooms that must be read before changes can be delivered: all, and those whose members are shown too."""

    rooms: frozenset[RoomUid] = frozenset()
    with_members: frozenset[RoomUid] = frozenset()

    def beyond(self, read: "Wanted") -> frozenset[RoomUid]:
        """Return the rooms that must be read yet, or read again with their members."""
        return (self.rooms - read.rooms) | (self.with_members - read.with_members)

    def and_also(self, other: "Wanted") -> "Wanted":
        """Return what either wants."""
        return Wanted(self.rooms | other.rooms, self.with_members | other.with_members)


class UserIndex(Generic[_Subscriber]):
    """The subscriptions of a process, by user and by room.

    `position_of` says where whoever was told the changes up to a version stands, if that is known.
    """

    def __init__(self, position_of: Callable[[int], UserPosition | None]) -> None:
        self._position_of = position_of
        self._of_user: dict[str, set[_Subscriber]] = {}
        self._of_room: dict[RoomUid, _Followed[_Subscriber]] = {}

    def join(self, subscription: _Subscriber, rooms: Iterable[tuple[RoomUid, RoomId]]) -> None:
        """Register a subscription with its rooms, by uid and id."""
        self._of_user.setdefault(subscription.user_id, set()).add(subscription)
        for room_uid, room_id in rooms:
            self._follow(subscription, room_uid, room_id)

    def leave(self, subscription: _Subscriber) -> None:
        """Forget a subscription, if it was registered."""
        for room_uid in list(subscription.rooms):
            self._unfollow(subscription, room_uid)
        of_user = self._of_user.get(subscription.user_id, set())
        of_user.discard(subscription)
        if not of_user:
            self._of_user.pop(subscription.user_id, None)

    @property
    def is_empty(self) -> bool:
        """Whether there is no subscription."""
        return not self._of_user

    def subscriptions(self) -> list[_Subscriber]:
        """List every subscription."""
        return [subscription for of_user in self._of_user.values() for subscription in of_user]

    def subscriptions_of(self, user_id: str) -> list[_Subscriber]:
        """List a user's subscriptions."""
        return list(self._of_user.get(user_id, ()))

    def rooms(self) -> list[tuple[RoomUid, RoomId]]:
        """List the rooms that are followed, by uid and id."""
        return [(followed.room_uid, followed.room_id) for followed in self._of_room.values()]

    def has(self, subscription: _Subscriber) -> bool:
        """Tell whether a subscription is registered."""
        return subscription in self._of_user.get(subscription.user_id, ())

    def neighbours(self, user_id: str, room_uids: Iterable[RoomUid]) -> set[_Subscriber]:
        """Return who is told of a user who is in these rooms: their own streams, and those of the others there."""
        found = set(self._of_user.get(user_id, ()))
        for room_uid in room_uids:
            followed = self._of_room.get(room_uid)
            if followed is not None:
                found |= followed.subscriptions
        return found

    def wanted(self, changes: Sequence[Change]) -> Wanted:
        """Return what must be read before these changes are delivered."""
        added = {
            change.room_uid
            for change in changes
            if change.kind is ChangeKind.MEMBER_ADDED and change.room_uid and change.user_id in self._of_user
        }
        updated = {
            change.room_uid
            for change in changes
            if change.kind is ChangeKind.ROOM_UPDATED and change.room_uid in self._of_room
        }
        return Wanted(frozenset(added | updated), frozenset(added))

    def deliver(self, changes: Sequence[Change], views: Mapping[RoomUid, RoomView]) -> None:
        """Queue what changes mean for each subscription, in their order; `views` are the rooms that were wanted."""
        # A room is shown as it is by now, so one event is as good as many.
        last_update = {change.room_uid: change.version for change in changes if change.kind is ChangeKind.ROOM_UPDATED}
        for change in changes:
            match change.kind:
                case ChangeKind.MEMBER_ADDED if change.room_uid and change.user_id:
                    self._added(change, change.room_uid, change.user_id, views.get(change.room_uid))
                case ChangeKind.MEMBER_REMOVED | ChangeKind.MEMBER_DELETED if change.room_uid and change.user_id:
                    self._removed(change, change.room_uid, change.user_id)
                case ChangeKind.ROOM_UPDATED if change.room_uid and last_update[change.room_uid] == change.version:
                    self._updated(change, change.room_uid, views.get(change.room_uid))
                case ChangeKind.ROOM_DELETED if change.room_uid:
                    self._deleted(change, change.room_uid)

    def _added(self, change: Change, room_uid: RoomUid, user_id: UserId, view: RoomView | None) -> None:
        time, followed = change.time or _NO_TIME, self._of_room.get(room_uid)
        if followed is not None:
            room_id = followed.room_id
            joined = frames.once(lambda: frames.joined_event(time, room_id, user_id, self._position_of(change.version)))
            for subscription in followed.subscriptions:
                if subscription.user_id != user_id and subscription.version < change.version:
                    subscription.push(joined())
        if view is None or user_id not in view.member_ids:
            # They are out again: what the room is by now is not for them.
            return
        shown = frames.once(lambda: frames.added_event(time, view, self._position_of(change.version)))
        for subscription in self._of_user.get(user_id, ()):
            if subscription.version < change.version:
                self._follow(subscription, room_uid, view.room.id)
                subscription.push(shown())

    def _removed(self, change: Change, room_uid: RoomUid, user_id: UserId) -> None:
        time, followed = change.time or _NO_TIME, self._of_room.get(room_uid)
        if followed is None:
            return
        gone = frames.once(lambda: frames.user_deleted_event(time, user_id))
        left = frames.once(
            lambda: frames.left_event(time, followed.room_id, user_id, self._position_of(change.version))
        )
        removed = frames.once(lambda: frames.removed_event(time, followed.room_id, self._position_of(change.version)))
        for subscription in list(followed.subscriptions):
            if subscription.version >= change.version:
                continue
            if subscription.user_id == user_id:
                self._unfollow(subscription, room_uid)
                subscription.push(removed())
            else:
                if change.kind is ChangeKind.MEMBER_DELETED:
                    subscription.push(gone())
                subscription.push(left())

    def _updated(self, change: Change, room_uid: RoomUid, view: RoomView | None) -> None:
        time, followed = change.time or _NO_TIME, self._of_room.get(room_uid)
        if followed is None or view is None:
            return
        updated = frames.once(lambda: frames.room_updated_event(time, view.room, self._position_of(change.version)))
        for subscription in followed.subscriptions:
            if subscription.version < change.version:
                subscription.push(updated())

    def _deleted(self, change: Change, room_uid: RoomUid) -> None:
        time, followed = change.time or _NO_TIME, self._of_room.get(room_uid)
        if followed is None:
            return
        deleted = frames.once(
            lambda: frames.room_deleted_event(time, followed.room_id, self._position_of(change.version))
        )
        for subscription in list(followed.subscriptions):
            if subscription.version < change.version:
                self._unfollow(subscription, room_uid)
                subscription.push(deleted())

    def _follow(self, subscription: _Subscriber, room_uid: RoomUid, room_id: RoomId) -> None:
        followed = self._of_room.setdefault(room_uid, _Followed(room_uid, room_id))
        followed.subscriptions.add(subscription)
        subscription.rooms.add(followed.room_uid)

    def _unfollow(self, subscription: _Subscriber, room_uid: RoomUid) -> None:
        subscription.rooms.discard(room_uid)
        followed = self._of_room.get(room_uid)
        if followed is not None:
            followed.subscriptions.discard(subscription)
            if not followed.subscriptions:
                del self._of_room[room_uid]
