"""Fan-out of read cursors: those of each room that somebody follows with include_cursors, and their moves.

Of several copies the one with the highest revision counts, so it does not matter in which order, how often or by which
way a move is told. What nobody has told is read from the database, for all rooms in one query.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack

import structlog

from services.messages.peers import RoomsClient
from services.messages.read_states import frames
from services.messages.read_states.cursors_store import ReadCursorsStore
from services.messages.read_states.model import ReadCursor
from services.messages.streams.follower import Follower
from services.runtime.access.port import AccessChange, MembershipChanged
from services.runtime.clock import Clock
from services.runtime.contract.errors import Aborted, DeadlineExceeded, Unavailable
from services.runtime.ids import RoomUid, UserUid
from services.runtime.steps import slices

_log = structlog.get_logger()
_LOADS_AT_ONCE = 2
_ROOMS_AT_ONCE = 50
_CURSORS_AT_ONCE = 100
# Looks are spread over time when there are very many rooms.
_ROOMS_PER_SECOND = 5_000


class _Room:
    """The cursors of one room, as events."""

    def __init__(self, room_id: str) -> None:
        self.room_id = room_id
        self.followers: set[Follower] = set()
        # By user: the revision, and the event that tells it; of the so many-th database.
        self.known: dict[UserUid, tuple[int, bytes]] = {}
        self.life = 0
        # Where the next look starts; None before the cursors were read. As of when there had been so many doubts.
        self.horizon: int | None = None
        self.doubts = 0
        self.loading = asyncio.Lock()
        # Who has left since the cursors were last being read.
        self.left: set[UserUid] = set()


class Cursors:
    """The cursors of the rooms that this process's subscribers follow."""

    def __init__(
        self, store: ReadCursorsStore, rooms: RoomsClient, clock: Clock, *, interval: float, most: int
    ) -> None:
        self._store = store
        self._peer = rooms
        self._clock = clock
        self._interval = interval
        # How many cursors of a room are told when a stream starts: those that moved last.
        self._most = most
        self._rooms: dict[RoomUid, _Room] = {}
        self._loads = asyncio.Semaphore(_LOADS_AT_ONCE)
        self._look_now = asyncio.Event()
        # Members who have come to a room, and may have left a cursor there earlier: room and user.
        self._arrived: set[tuple[RoomUid, UserUid]] = set()
        # How often it has become doubtful what is known of all rooms, and how often all of it was void: each room is
        # brought up to that when it is looked at, because there may be very many.
        self._doubts = 0
        self._lives = 0

    # What streams ask for; nothing is done for a subscriber who does not include cursors.

    def join(self, room_id: str, subscription: Follower) -> None:
        """Follow the cursors of a subscriber's room from now on."""
        if subscription.includes_cursors:
            self._rooms.setdefault(subscription.room_uid, _Room(room_id)).followers.add(subscription)

    def leave(self, subscription: Follower) -> None:
        """Forget a subscriber, and the room's cursors with the last one."""
        room = self._rooms.get(subscription.room_uid)
        if room is not None:
            room.followers.discard(subscription)
            if not room.followers:
                del self._rooms[subscription.room_uid]

    async def follow(self, *subscriptions: Follower) -> None:
        """Read the cursors of subscribers' rooms, unless they were read, in one statement."""
        unread = [one.room_uid for one in subscriptions if one.includes_cursors]
        if unread:
            await self._load(unread)

    def events(self, subscription: Follower) -> list[bytes]:
        """Return how the cursors stand, for a subscriber who has joined and is being opened."""
        room = self._rooms.get(subscription.room_uid)
        if room is None or subscription not in room.followers:
            return []
        return [event for _, event in self._known(room).values()]

    # What is told.

    def wants(self, room_uid: RoomUid, user_uid: UserUid, revision: int) -> bool:
        """Tell whether somebody here follows the room's cursors and was not given this revision yet."""
        room = self._rooms.get(room_uid)
        return room is not None and self._known(room).get(user_uid, (0, b""))[0] < revision

    def take(self, room_uid: RoomUid, user_uid: UserUid, revision: int, event: bytes) -> None:
        """Hand a cursor to the room's subscribers, unless they have been given it or a newer one."""
        if self.wants(room_uid, user_uid, revision):
            room = self._rooms[room_uid]
            self._known(room)[user_uid] = (revision, event)
            for subscription in room.followers:
                subscription.push(0, event)

    def look(self) -> None:
        """Look at the database at once: moves may have been missed."""
        self._look_now.set()

    def reset(self) -> None:
        """Forget every cursor, because the database is another one: revisions may have begun anew."""
        self._lives += 1
        self.missed()

    # What changes of access do.

    def changed(self, change: AccessChange) -> None:
        """Forget the cursor of a removed member; look for the one that a returning member has left."""
        if isinstance(change, MembershipChanged) and (room := self._rooms.get(change.room_uid)) is not None:
            key = (change.room_uid, change.user_uid)
            if change.is_member:
                self._arrived.add(key)
                room.left.discard(change.user_uid)
            else:
                self._arrived.discard(key)
                room.left.add(change.user_uid)
                self._known(room).pop(change.user_uid, None)

    def missed(self) -> None:
        """Read the cursors anew, and ask who the members are."""
        self._doubts += 1

    def fresh_again(self) -> None:
        """Do nothing: who is a member is asked when it is needed."""

    # What happens by itself.

    async def run(self) -> None:
        """Look for moves that nobody has told, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look_regularly())
            group.create_task(self._look_when_told())

    async def _look_regularly(self) -> None:
        while True:
            await self._clock.sleep(max(self._interval, len(self._rooms) / _ROOMS_PER_SECOND))
            await self._heal()

    async def _look_when_told(self) -> None:
        while True:
            await self._look_now.wait()
            self._look_now.clear()
            await self._heal()

    async def _heal(self) -> None:
        try:
            await self._read_arrived()
            for some in slices(list(self._rooms.items())):
                await self._read_moves(some)
                unread = [uid for uid, room in some if self._horizon(room) is None]
                for page in slices(unread, _ROOMS_AT_ONCE):
                    await self._load(page)
                await asyncio.sleep(0)
        except (Unavailable, Aborted) as error:
            _log.warning("cursors_unread", reason=error.reason)

    async def _read_moves(self, some: Sequence[tuple[RoomUid, _Room]]) -> None:
        rooms = {uid: horizon for uid, room in some if (horizon := self._horizon(room)) is not None}
        if not rooms:
            return
        doubts = self._doubts
        moved = await self._store.moved_since(list(rooms), min(rooms.values()))
        for cursors in slices(moved.cursors, _CURSORS_AT_ONCE):
            if doubts != self._doubts:
                return
            self._take_all(cursors)
            await asyncio.sleep(0)
        if doubts != self._doubts:
            return
        for room_uid, horizon in rooms.items():
            # A room that was read anew meanwhile has a horizon of its own.
            if (room := self._rooms.get(room_uid)) is not None and self._horizon(room) == horizon:
                self._stands_at(room, moved.horizon)

    async def _read_arrived(self) -> None:
        arrived = {key for key in self._arrived if key[0] in self._rooms}
        cursors = await self._store.of_pairs(arrived) if arrived else []
        # Who has left again meanwhile is no longer among them.
        self._take_all(cursor for cursor in cursors if (cursor.room_uid, cursor.user_uid) in self._arrived)
        self._arrived -= arrived

    async def _load(self, room_uids: Iterable[RoomUid]) -> None:
        rooms = {uid: self._rooms[uid] for uid in sorted(room_uids) if uid in self._rooms}
        async with AsyncExitStack() as stack:
            # In order, so that two who read shared rooms never wait for each other.
            for room in rooms.values():
                await stack.enter_async_context(room.loading)
            await stack.enter_async_context(self._loads)
            # Again when it has become doubtful meanwhile.
            while unread := {
                uid: room for uid, room in rooms.items() if self._horizon(room) is None and room is self._rooms.get(uid)
            }:
                await self._read_anew(unread)

    async def _read_anew(self, rooms: Mapping[RoomUid, _Room]) -> None:
        doubts, before = self._doubts, {uid: set(self._known(room)) for uid, room in rooms.items()}
        for room in rooms.values():
            room.left.clear()
        moved = await self._store.newest(list(rooms), self._most)
        of_members: dict[RoomUid, list[ReadCursor]] = {uid: [] for uid in rooms}
        for cursor in await self._of_members({uid: room.room_id for uid, room in rooms.items()}, moved.cursors):
            of_members[cursor.room_uid].append(cursor)
        for uid, room in rooms.items():
            # Room by room, because each may have as many as it has members.
            await asyncio.sleep(0)
            if doubts != self._doubts:
                # It may be of a database that is no longer the one.
                return
            for user_uid in before[uid] - {cursor.user_uid for cursor in of_members[uid]}:
                self._known(room).pop(user_uid, None)
            self._take_all(cursor for cursor in of_members[uid] if cursor.user_uid not in room.left)
            self._stands_at(room, moved.horizon)

    async def _of_members(self, room_ids: Mapping[RoomUid, str], cursors: Sequence[ReadCursor]) -> Sequence[ReadCursor]:
        try:
            return await self._peer.of_members_of_many(room_ids, cursors)
        except (Unavailable, DeadlineExceeded):
            # Streams go on without rooms for a while, and the cursor of somebody who has left is no secret.
            return cursors

    def _take_all(self, cursors: Iterable[ReadCursor]) -> None:
        for cursor in cursors:
            if (room := self._rooms.get(cursor.room_uid)) is not None:
                event = frames.cursor_event(room.room_id, cursor)
                self.take(cursor.room_uid, cursor.user_uid, cursor.revision, event)

    def _known(self, room: _Room) -> dict[UserUid, tuple[int, bytes]]:
        """Return the cursors that are known of a room, of this database."""
        if room.life != self._lives:
            room.life = self._lives
            room.known.clear()
        return room.known

    def _horizon(self, room: _Room) -> int | None:
        """Return where the next look at a room starts; None when it is to be read anew."""
        return room.horizon if room.doubts == self._doubts else None

    def _stands_at(self, room: _Room, horizon: int) -> None:
        room.horizon, room.doubts = horizon, self._doubts
