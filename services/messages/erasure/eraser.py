"""Removes all that messages has of a room that is deleted, and tells those who follow it here that it is gone."""

from collections.abc import Callable

from services.messages.erasure.store import ErasureStore
from services.runtime.data.writers import Writers
from services.runtime.deadline import Deadline
from services.runtime.erasure.removal import removed_for_good
from services.runtime.ids import RoomUid


class MessagesEraser:
    """What ErasureService does in messages; `on_erased` looks at a room's head, in every replica."""

    def __init__(self, store: ErasureStore, writers: Writers, on_erased: Callable[[RoomUid], None]) -> None:
        self._store = store
        self._writers = writers
        self._on_erased = on_erased

    async def erase_room(self, room_uid: RoomUid, until: Deadline) -> bool:
        """Let nothing new come into being in a room and remove what there is; False when the time was too short."""
        await self._store.fence(room_uid)
        self._on_erased(room_uid)
        return await removed_for_good(lambda: self._store.remove_some(room_uid), self._writers, until)
