"""The use case of deleting a room: no gRPC, no SQL."""

from services.rooms.access.service import denied, room_not_found
from services.rooms.access.store import AccessStore
from services.rooms.deletions.store import RoomDeletionStore
from services.rooms.model import Change
from services.runtime.access.port import RoomGrant
from services.runtime.contract.errors import NotFound
from services.runtime.data.change_feed import ChangeFeed
from services.runtime.deadline import Deadline
from services.runtime.erasure.deletions import Deletions
from services.runtime.erasure.model import Deletion, DeletionId
from services.runtime.ids import NOBODY, RoomId, RoomUid


class RoomDeletions:
    """Deletes rooms."""

    def __init__(
        self,
        store: RoomDeletionStore,
        jobs: Deletions,
        access: AccessStore,
        feed: ChangeFeed[Change],
    ) -> None:
        self._jobs = jobs
        self._store = store
        self._access = access
        self._feed = feed

    async def delete(self, grant: RoomGrant, room_id: RoomId, deadline: Deadline) -> Deletion:
        """Delete a room for a member who may. Raises ROOM_ACCESS_DENIED, and what `Deletions` raises."""
        deletion_id = await self._begin(grant.room_uid)
        if deletion_id is None:
            raise denied(room_id)
        return await self._jobs.see_through(deletion_id, deadline)

    async def delete_or_find(self, room_id: RoomId, deadline: Deadline) -> Deletion:
        """Delete a room for a superuser, or go on with its deletion.

        Raises ROOM_NOT_FOUND, and what `Deletions` raises.
        """
        standing = await self._access.standing(room_id, NOBODY)
        deletion_id = await self._begin(standing.room_uid) if standing.room_uid is not None else None
        if deletion_id is None:
            known = await self._jobs.of_subject(room_id)
            if known is None:
                raise room_not_found(room_id)
            deletion_id = known.id
        return await self._jobs.see_through(deletion_id, deadline)

    async def _begin(self, room_uid: RoomUid) -> DeletionId | None:
        """Begin a deletion; None where somebody else was faster."""
        try:
            deletion_id = await self._store.delete(room_uid)
        except NotFound:
            return None
        self._feed.nudge()
        return deletion_id
