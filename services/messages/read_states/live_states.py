"""Read states on streams of several rooms: sent when a room is opened, and again when something has changed them.

What changes them (an event of the log, a move of the user's own cursor) only marks the room. Once a second the marked
ones are read anew, many in one statement: so at most one is sent per stream, room and second, and the newest wins.
"""

import asyncio
from collections.abc import Sequence

import structlog

from services.messages.read_states import frames
from services.messages.read_states.cursors_store import ReadCursorsStore
from services.messages.read_states.states_store import ReadStatesStore
from services.messages.streams.rooms_stream import RoomOfStream
from services.runtime.clock import Clock
from services.runtime.contract.errors import Aborted, Unavailable
from services.runtime.ids import RoomUid, UserUid
from services.runtime.steps import Pace, slices

_log = structlog.get_logger()
_SECONDS = 1.0
_READ_AT_ONCE = 200
_LOOKED_AT_ONCE = 500


class ReadStateFeed:
    """The rooms on this process's streams whose read states are sent."""

    def __init__(self, states: ReadStatesStore, cursors: ReadCursorsStore, clock: Clock, *, interval: float) -> None:
        self._states = states
        self._cursors = cursors
        self._clock = clock
        self._interval = interval
        # By room and user: a user may follow a room on several streams.
        self._rooms: dict[tuple[RoomUid, UserUid], set[RoomOfStream]] = {}
        # Those whose read state may be another than what was sent.
        self._changed: set[RoomOfStream] = set()
        # Where the next look for moves that nobody has told starts; None as long as nothing was followed.
        self._horizon: int | None = None

    def join(self, room: RoomOfStream) -> None:
        """Send the read states of a room from now on, if its stream includes them and the user is a member."""
        if room.includes_read_states and room.user_uid is not None:
            self._rooms.setdefault((room.room_uid, room.user_uid), set()).add(room)
            room.marks = self._changed

    def leave(self, room: RoomOfStream) -> None:
        """Forget a room."""
        if room.user_uid is None:
            return
        room.marks = None
        self._changed.discard(room)
        key = (room.room_uid, room.user_uid)
        rooms = self._rooms.get(key, set())
        rooms.discard(room)
        if not rooms:
            self._rooms.pop(key, None)

    async def events(self, rooms: Sequence[RoomOfStream]) -> dict[RoomUid, bytes]:
        """Return what rooms of a stream hold for its user, as events by room."""
        asked = [room for room in rooms if room.includes_read_states and room.user_uid is not None]
        if not asked:
            return {}
        if self._horizon is None:
            self._horizon = await self._cursors.horizon()
        return {room.room_uid: event for room, event in await self._read(asked)}

    def moved(self, room_uid: RoomUid, user_uid: UserUid) -> None:
        """Hear that a cursor has moved."""
        self._changed.update(self._rooms.get((room_uid, user_uid), ()))

    def reset(self) -> None:
        """Forget where the next look starts, because the database is another one."""
        self._horizon = None

    async def run(self) -> None:
        """Send what has changed, and look for what nobody has told, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._send_regularly())
            group.create_task(self._look_regularly())

    async def _send_regularly(self) -> None:
        while True:
            await self._clock.sleep(_SECONDS)
            changed = list(self._changed)
            try:
                for some in slices(changed, _READ_AT_ONCE):
                    await self._send([room for room in some if room.is_open and room.marks is not None])
            except (Unavailable, Aborted) as error:
                _log.warning("read_states_unread", reason=error.reason)

    async def _send(self, rooms: Sequence[RoomOfStream]) -> None:
        if not rooms:
            return
        # Before it is read: what happens meanwhile marks it again.
        self._changed.difference_update(rooms)
        try:
            for room, event in await self._read(rooms):
                room.push_read_state(event)
        except (Unavailable, Aborted):
            self._changed.update(room for room in rooms if room.marks is not None)
            raise

    async def _look_regularly(self) -> None:
        while True:
            await self._clock.sleep(self._interval)
            if not self._rooms or self._horizon is None:
                continue
            try:
                await self._look(self._horizon)
            except (Unavailable, Aborted) as error:
                _log.warning("cursors_unread", reason=error.reason)

    async def _look(self, since: int) -> None:
        """Look for moves in every room; the next look starts where the first slice of this one was read."""
        horizon: int | None = None
        for keys in slices(list(self._rooms), _LOOKED_AT_ONCE):
            moved = await self._cursors.moved_since(list({room_uid for room_uid, _ in keys}), since)
            horizon = moved.horizon if horizon is None else min(horizon, moved.horizon)
            pace = Pace()
            for cursor in moved.cursors:
                self.moved(cursor.room_uid, cursor.user_uid)
                await pace.did()
            await asyncio.sleep(0)
        if self._horizon == since and horizon is not None:
            self._horizon = horizon

    async def _read(self, rooms: Sequence[RoomOfStream]) -> list[tuple[RoomOfStream, bytes]]:
        states = await self._states.states([(room.room_uid, room.user_uid) for room in rooms if room.user_uid])
        now = self._clock.now()
        return [
            (room, frames.read_state_event(room.room_id, now, state)) for room, state in zip(rooms, states, strict=True)
        ]
