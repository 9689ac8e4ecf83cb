"""Removes all files of a room or a user that is deleted, whether messages refer to them or not: those go, too.

Where the messages of a user stay, files that were attached are nobody's from then on: one that no message refers to is
collected as others are.
"""

from services.files.content.blobs import Blobs
from services.files.content.incoming import Incoming
from services.files.erasure.store import ErasureStore
from services.files.model import File
from services.runtime.data.writers import Writers
from services.runtime.deadline import Deadline
from services.runtime.erasure.model import ErasedUser, PseudonymKey
from services.runtime.erasure.removal import removed_for_good
from services.runtime.ids import RoomUid, UserUid

# Their content goes one by one.
_AT_ONCE = 20


class FilesEraser:
    """What ErasureService does in files."""

    def __init__(self, store: ErasureStore, writers: Writers, blobs: Blobs, incoming: Incoming) -> None:
        self._store = store
        self._writers = writers
        self._blobs = blobs
        self._incoming = incoming

    async def erase_room(self, room_uid: RoomUid, until: Deadline) -> bool:
        """Let nothing new come into being in a room and remove what there is; False when the time was too short.

        Raises FILE_STORE_UNAVAILABLE when content can't be removed: its row stays.
        """
        return await self._erase(room_uid, None, until)

    async def erase_user(self, user: ErasedUser, until: Deadline) -> bool:
        """Let nothing new come into being for a user, as for a room; with pseudonyms, what was attached stays."""
        return await self._erase(user.uid, user.pseudonyms, until)

    async def _erase(self, subject_uid: RoomUid | UserUid, pseudonyms: PseudonymKey | None, until: Deadline) -> bool:
        await self._store.fence(subject_uid)
        if not await removed_for_good(lambda: self._remove_some(subject_uid, pseudonyms), self._writers, until):
            return False
        await self._store.forget_usage(subject_uid)
        return True

    async def _remove_some(self, subject_uid: RoomUid | UserUid, pseudonyms: PseudonymKey | None) -> int:
        some = await self._store.some(subject_uid, _AT_ONCE)
        for file in some:
            if pseudonyms is None or await self._is_free(file, pseudonyms):
                await self._remove(file)
        return len(some)

    async def _is_free(self, file: File, pseudonyms: PseudonymKey) -> bool:
        """Make a file that was attached nobody's, and let nobody attach another one; tell whether it is such."""
        if await self._store.anonymize(file, pseudonyms.pseudonym_in(file.room_uid)):
            return False
        # Unless it was attached since: then it is looked at once more.
        return await self._store.condemn(file)

    async def _remove(self, file: File) -> None:
        keys = await self._store.revoke_uploads(file.uid)
        for key in {*keys, *([file.blob_key] if file.has_content else [])}:
            await self._blobs.remove(key)
        await self._incoming.discard(file)
        await self._store.remove(file)
