"""How a subscription begins: with the state of a user's rooms, or with what was missed since a position.

Either is as of a version of the changes, and can be brought up to a later one until the tail is not past it.
"""

from collections.abc import Sequence

from services.rooms.model import Change, ChangeKind, RoomView
from services.rooms.user_streams import frames
from services.rooms.user_streams.frames import Event
from services.rooms.user_streams.index import UserIndex
from services.rooms.user_streams.missed_store import Missed, MissedStore
from services.rooms.user_streams.position import UserPosition
from services.rooms.user_streams.store import UserStateStore
from services.rooms.user_streams.streams import is_understood, log_reset
from services.runtime.clock import Clock
from services.runtime.ids import RoomId, RoomUid
from services.runtime.steps import Leisure, slices

_PAGE = 500
# What serializing a room counts in a step, and how many of its members count as much as one thing.
_ROOM, _MEMBERS = 5, 16
# How many changes are looked at together, and how many of them are told in a step.
_CHANGES_AT_ONCE, _TOLD_AT_ONCE = 75, 10
_OUT = {ChangeKind.MEMBER_REMOVED, ChangeKind.MEMBER_DELETED}


class State:
    """The rooms of a user as serialized events."""

    # It goes on after no position.
    after = None
    is_nothing = False

    def __init__(self, user_id: str, store: UserStateStore, clock: Clock, leisure: Leisure) -> None:
        self.version = 0
        self._rooms: dict[RoomUid, tuple[RoomId, bytes]] = {}
        self._user_id = user_id
        self._store = store
        self._clock = clock
        self._leisure = leisure

    async def read(self) -> None:
        """Read it."""
        read = await self._store.state(self._user_id)
        self.version = read.version
        await self._add({view.room.uid: view for view in read.views})

    @property
    def room_count(self) -> int:
        """How many rooms it shows."""
        return len(self._rooms)

    def rooms(self) -> Sequence[tuple[RoomUid, RoomId]]:
        """List the user's rooms, by uid and id."""
        return [(room_uid, room_id) for room_uid, (room_id, _) in self._rooms.items()]

    def events(self) -> Sequence[bytes]:
        """List the serialized rooms by their ids."""
        return [event for _, event in sorted(self._rooms.values())]

    async def advance(self) -> None:
        """Bring it up to a later version, or raise LOG_RESET.

        Rooms that have changed are read as they are by now, which may be later still: they are shown so again by the
        changes that follow, as all events may be.
        """
        changes = await self._store.changes_after(self.version, _PAGE)
        if not changes or changes[0].version != self.version + 1 or not all(map(is_understood, changes)):
            raise log_reset()
        touched = {room_uid for change in changes if (room_uid := self._touched_by(change)) is not None}
        views = await self._store.views(touched, touched) if touched else {}
        for room_uid in touched:
            self._rooms.pop(room_uid, None)
        await self._add({uid: view for uid, view in views.items() if self._user_id in view.member_ids})
        self.version = changes[-1].version

    async def _add(self, views: dict[RoomUid, RoomView]) -> None:
        now, pace = self._clock.now(), self._leisure.pace()
        for room_uid, view in views.items():
            self._rooms[room_uid] = view.room.id, frames.room_event(now, view).frame
            await pace.did(_ROOM + len(view.member_ids) // _MEMBERS)

    def _touched_by(self, change: Change) -> RoomUid | None:
        """Return the room of the user that a change is about."""
        is_of_user = change.user_id == self._user_id or change.room_uid in self._rooms
        return change.room_uid if is_of_user else None


class Resumption:
    """What a user has missed, told by what tells it to those who are there."""

    # It is not the state.
    room_count = 0

    def __init__(
        self, user_id: str, after: UserPosition, store: UserStateStore, missed: MissedStore, leisure: Leisure
    ) -> None:
        self._user_id = user_id
        self.after = after
        self._store = store
        self._missed = missed
        self._leisure = leisure
        self._index: UserIndex[_Replay] = UserIndex(self._position_at)
        self._replay = _Replay(user_id, after.rooms_version)
        self._looked_up: Missed | None = None

    @property
    def version(self) -> int:
        """The version up to which it has what was missed."""
        return self._replay.version

    def rooms(self) -> Sequence[tuple[RoomUid, RoomId]]:
        """List the user's rooms, by uid and id."""
        return self._index.rooms()

    def events(self) -> Sequence[bytes]:
        """List the serialized events."""
        return self._replay.events

    @property
    def is_nothing(self) -> bool:
        """Whether nothing was missed, as far as it was looked up."""
        return self._looked_up is not None and not self._looked_up.changes

    async def look(self) -> bool:
        """Look up what was missed; False when it can't be told, because of its age or size."""
        missed = await self._missed.missed(self._user_id, self.version)
        if not self._can_be_told(missed):
            return False
        self._looked_up = missed
        return True

    async def read(self) -> None:
        """Read what is to be told of what was looked up."""
        if self._looked_up is not None:
            self._index.join(self._replay, self._rooms_before(self._looked_up).items())
            await self._tell(self._looked_up)

    async def advance(self) -> None:
        """Bring it up to a later version, or raise LOG_RESET."""
        missed = await self._missed.missed(self._user_id, self.version)
        if not self._can_be_told(missed):
            raise log_reset()
        await self._tell(missed)

    def _can_be_told(self, missed: Missed) -> bool:
        # Of a room that was deleted since they left it nobody knows the id any more.
        return missed.is_whole and all(
            is_understood(change) and not (self._is_membership(change) and change.room_id is None)
            for change in missed.changes
        )

    def _is_membership(self, change: Change) -> bool:
        """Tell whether a change is about the user's being in a room."""
        return change.user_id == self._user_id and (change.kind is ChangeKind.MEMBER_ADDED or change.kind in _OUT)

    def _rooms_before(self, missed: Missed) -> dict[RoomUid, RoomId]:
        """Return the rooms in which the user was before what they have missed."""
        rooms = dict(missed.rooms)
        for change in reversed(missed.changes):
            if not self._is_membership(change) or change.room_uid is None or change.room_id is None:
                continue
            if change.kind is ChangeKind.MEMBER_ADDED:
                rooms.pop(change.room_uid, None)
            else:
                rooms[change.room_uid] = change.room_id
        return rooms

    async def _tell(self, missed: Missed) -> None:
        # A room is shown as it is by now, so one event is as good as many.
        updates = {
            change.room_uid: change.version for change in missed.changes if change.kind is ChangeKind.ROOM_UPDATED
        }
        shown = set(updates.values())
        told = [
            change for change in missed.changes if change.kind is not ChangeKind.ROOM_UPDATED or change.version in shown
        ]
        pace = self._leisure.pace()
        for together in slices(told, _CHANGES_AT_ONCE):
            wanted = self._index.wanted(together)
            views = await self._store.views(wanted.rooms, wanted.with_members) if wanted.rooms else {}
            for few in slices(together, _TOLD_AT_ONCE):
                self._index.deliver(few, views)
                await pace.did(_ROOM * len(few))
        self._replay.version = missed.version

    def _position_at(self, version: int) -> UserPosition:
        # Of the changes of users nothing is told before all those of rooms.
        return self.after.moved_to(version, self.after.users_version)


class _Replay:
    """Collects what is told to a subscriber."""

    def __init__(self, user_id: str, version: int) -> None:
        self.user_id = user_id
        self.version = version
        self.rooms: set[RoomUid] = set()
        self.events: list[bytes] = []

    def push(self, event: Event) -> None:
        """Keep an event."""
        self.events.append(event.frame)
