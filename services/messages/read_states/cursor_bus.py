"""What replicas tell one another about read cursors over the bus: each move, and its event with it."""

import struct
from collections.abc import Callable
from uuid import UUID

from services.messages.read_states import frames
from services.messages.read_states.live_cursors import Cursors
from services.messages.read_states.model import ReadCursor
from services.runtime.bus.port import Bus
from services.runtime.data.epoch import Epoch
from services.runtime.ids import RoomUid, UserUid

# The uids of a room and a user, the epoch of the database, and the cursor's revision.
_KEY = struct.Struct(">16s16s16sQ")


class CursorAnnouncements:
    """Hands moves to this process's subscribers and, over the bus, to those of the others."""

    def __init__(
        self,
        cursors: Cursors,
        epoch: Epoch,
        bus: Bus,
        subject: str,
        on_move: Callable[[RoomUid, UserUid], None] = lambda _room_uid, _user_uid: None,
    ) -> None:
        self._cursors = cursors
        # Told of every move, also in rooms whose cursors nobody follows here.
        self._on_move = on_move
        self._epoch = epoch
        self._bus = bus
        self._subject = subject

    async def listen(self) -> None:
        """Hear what other replicas move."""
        await self._bus.subscribe(self._subject, self)

    def moved(self, room_id: str, cursor: ReadCursor) -> None:
        """Tell that a cursor has moved, here and elsewhere."""
        self._on_move(cursor.room_uid, cursor.user_uid)
        event = frames.cursor_event(room_id, cursor)
        self._cursors.take(cursor.room_uid, cursor.user_uid, cursor.revision, event)
        if (epoch := self._epoch.value) is not None:
            key = _KEY.pack(cursor.room_uid.bytes, cursor.user_uid.bytes, epoch.bytes, cursor.revision)
            self._bus.publish(self._subject, key, event)

    # What other replicas tell.

    def received(self, key: bytes, payload: bytes) -> None:
        """Take a move, or look for it where it can't be taken as it is. Raises a ValueError for a key that is none."""
        if len(key) != _KEY.size:
            raise ValueError("the key is not one of a cursor")
        room, user, epoch, revision = _KEY.unpack(key)
        room_uid, user_uid = RoomUid(UUID(bytes=room)), UserUid(UUID(bytes=user))
        self._on_move(room_uid, user_uid)
        if not self._cursors.wants(room_uid, user_uid, revision):
            return
        # A move of another life of the database may never have happened in this one.
        if payload and self._epoch.value is not None and self._epoch.value.bytes == epoch:
            self._cursors.take(room_uid, user_uid, revision, payload)
        else:
            self._cursors.look()

    def missed(self) -> None:
        """Look for moves in the database."""
        self._cursors.look()
