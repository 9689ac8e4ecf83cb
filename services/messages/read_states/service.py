"""The use cases of read cursors and read states: no gRPC, no SQL."""

from collections.abc import Sequence
from dataclasses import dataclass

from chatkit.contract.v1 import method_policy_pb2

from services.messages.peers import RoomOfUser, RoomsClient
from services.messages.read_states.cursor_bus import CursorAnnouncements
from services.messages.read_states.cursors_store import ReadCursorsStore
from services.messages.read_states.model import Move, ReadCursor, ReadState, UnreadTotal
from services.messages.read_states.states_store import ReadStatesStore
from services.runtime.access.port import AccessChecker, AccessQuery
from services.runtime.contract.absent import room_deleted, user_deleted
from services.runtime.contract.errors import PermissionDenied
from services.runtime.deadline import Deadline
from services.runtime.ids import NO_ROOM, RoomUid, UserId, UserUid
from services.runtime.steps import slices

READ_MESSAGES = "room:messages:get"
READ_CURSORS = "cursors:read:get"
# So many rooms are counted in one statement.
_COUNTED_AT_ONCE = 250


@dataclass(frozen=True, slots=True)
class Reader:
    """Whose read states are asked for, and whether a superuser asks."""

    user_id: UserId
    is_superuser: bool


class ReadStates:
    """What can be done with cursors."""

    def __init__(
        self,
        cursors: ReadCursorsStore,
        states: ReadStatesStore,
        announcements: CursorAnnouncements,
        rooms: RoomsClient,
        access: AccessChecker,
    ) -> None:
        self._cursors = cursors
        self._states = states
        self._announcements = announcements
        self._rooms = rooms
        self._access = access

    async def move(self, room_id: str, move: Move) -> ReadCursor:
        """Move a cursor and tell those who follow it; return it as it is now. Raises ROOM_DELETED and USER_DELETED."""
        moved = await self._cursors.move(move)
        if moved is None:
            raise user_deleted() if await self._cursors.is_deleted(move.user_uid) else room_deleted(room_id)
        cursor, has_moved = moved
        if has_moved:
            self._announcements.moved(room_id, cursor)
        return cursor

    async def find(self, room_uid: RoomUid, user_uid: UserUid) -> ReadCursor | None:
        """Return a user's cursor in a room, or None when it was never set."""
        return await self._cursors.find(room_uid, user_uid)

    async def of_room(
        self, room_id: str, room_uid: RoomUid, after: UserUid, size: int, deadline: Deadline
    ) -> tuple[list[ReadCursor], UserUid | None]:
        """Return a page of the cursors of a room's members, and the uid after which the next one starts."""
        found = await self._cursors.of_room(room_uid, after, size + 1)
        page = found[:size]
        return await self._rooms.of_members(room_id, page, deadline), page[-1].user_uid if len(found) > size else None

    async def of_user(self, rooms: Sequence[RoomOfUser]) -> list[tuple[str, ReadCursor]]:
        """Return a user's cursors in rooms of theirs, in the order of the rooms."""
        if not rooms:
            return []
        cursors = await self._cursors.of_user(rooms[0].user_uid, [room.room_uid for room in rooms])
        return [(room.room_id, cursors[room.room_uid]) for room in rooms if room.room_uid in cursors]

    async def states(self, reader: Reader, rooms: Sequence[RoomOfUser], deadline: Deadline) -> list[ReadState]:
        """Return a user's read states in some rooms; the last message only where they may read it."""
        if not rooms:
            return []
        readable = await self.permitted(reader, rooms, READ_MESSAGES, deadline)
        states = await self._states.states([(room.room_uid, room.user_uid) for room in rooms])
        return [
            state if room.room_id in readable else ReadState(state.room_uid, state.cursor, state.unread, None)
            for room, state in zip(rooms, states, strict=True)
        ]

    async def total(self, reader: Reader, deadline: Deadline) -> UnreadTotal:
        """Return what is unread in all rooms of a user in which they may read cursors."""
        total = UnreadTotal()
        permission = "" if reader.is_superuser else READ_CURSORS
        async for rooms in self._rooms.all_of_user(reader.user_id, deadline, permission):
            for some in slices(rooms, _COUNTED_AT_ONCE):
                pairs = [(room.room_uid, room.user_uid) for room in some]
                states = await self._states.states(pairs, with_last_message=False)
                total = total.plus([state.unread for state in states])
        return total

    async def permitted(
        self, reader: Reader, rooms: Sequence[RoomOfUser], permission: str, deadline: Deadline
    ) -> set[str]:
        """Return the ids of those of a user's rooms in which they have a permission."""
        room_ids = [room.room_id for room in rooms]
        if reader.is_superuser:
            return set(room_ids)
        anywhere = AccessQuery(
            NO_ROOM,
            reader.user_id,
            superuser=False,
            membership=method_policy_pb2.MEMBERSHIP_NOT_REQUIRED,
            permission=permission,
        )
        try:
            # What the global role grants holds in every room of theirs, and the answer is mostly kept.
            await self._access.check(anywhere)
        except PermissionDenied:
            return await self._rooms.permitted(reader.user_id, room_ids, permission, deadline)
        return set(room_ids)
