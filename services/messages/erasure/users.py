"""Removes all that a deleted user has written, and leaves its place in the order to others; or makes it nobody's.

Messages are deleted as their sender would have deleted them, or get another sender as if they were edited: with a place
in the log of their room, and told to all who follow it. Their rows forget who it was.
"""

from collections.abc import Sequence
from itertools import groupby

from chatkit.messages.v1 import message_pb2

from services.messages.attachments.service import file_ids
from services.messages.attachments.store import ReferenceStore
from services.messages.erasure.pace import JobPace
from services.messages.erasure.users_store import LAST, UserErasureStore, Written
from services.messages.log.committer import Committer
from services.messages.model import Anonymization, Deletion, MessageChange
from services.runtime.clock import Clock
from services.runtime.contract.errors import ChatkitError, NotFound
from services.runtime.data.writers import Writers
from services.runtime.deadline import Deadline
from services.runtime.erasure.model import ErasedUser, PseudonymKey
from services.runtime.ids import NO_USER, RoomId, RoomUid

# So few that a batch of them holds its rooms for some milliseconds, and others' writes come in between.
_AT_ONCE = 25
_COMMIT_SECONDS = 5.0


class UserEraser:
    """What ErasureService does in messages with a user."""

    def __init__(
        self, store: UserErasureStore, references: ReferenceStore, writers: Writers, committer: Committer, clock: Clock
    ) -> None:
        self._store = store
        self._references = references
        self._writers = writers
        self._committer = committer
        self._clock = clock

    async def erase_user(self, user: ErasedUser, until: Deadline) -> bool:
        """Let nothing new come into being for a user and remove what there is; False when the time was too short.

        With pseudonyms, messages and their files stay. Raises what a send raises when messages can't be changed now.
        """
        user_uid = user.uid
        await self._store.fence(user_uid)
        # Those who may not have seen it.
        if not await self._writers.settled(until):
            return False
        pace = JobPace(self._clock)
        walked_to = await self._store.walked_to(user_uid)
        while walked_to < LAST:
            room_uids = await self._store.rooms_after(walked_to)
            while written := await self._store.written(user_uid, room_uids, _AT_ONCE):
                await pace.step(self._erase(sorted(written, key=_place), user.pseudonyms))
                if not until.left():
                    return False
            last = room_uids[-1] if room_uids else LAST
            await self._store.remove_rest(user_uid, walked_to, last)
            walked_to = last
            if not until.left():
                return False
        return True

    async def _erase(self, written: Sequence[Written], pseudonyms: PseudonymKey | None) -> None:
        changes = [await self._change(one, pseudonyms) for one in written if not one.is_deleted]
        for result in await self._committer.send_each(changes, Deadline.after(_COMMIT_SECONDS)):
            # Retention may have been faster, and the deletion of the room.
            if isinstance(result, ChatkitError) and not isinstance(result, NotFound):
                raise result
        for room_uid, some in groupby(written, key=lambda one: one.room_uid):
            await self._store.scrub(room_uid, [one.seq for one in some])

    async def _change(self, written: Written, pseudonyms: PseudonymKey | None) -> MessageChange:
        message = message_pb2.Message.FromString(written.message)
        room_uid, room_id = written.room_uid, RoomId(message.room_id)
        if pseudonyms is None:
            return Deletion(room_uid, room_id, written.seq)
        # Before the message is known by that, so that there is no moment in which nothing refers to its files.
        if kept := sorted(set(file_ids(message.parts))):
            await self._references.note(kept, room_uid, NO_USER, str(written.seq))
        return Anonymization(room_uid, room_id, written.seq, pseudonyms.pseudonym_in(room_uid))


def _place(written: Written) -> tuple[RoomUid, int]:
    return written.room_uid, written.seq
