"""The use case of deleting a user: no gRPC, no SQL."""

from datetime import timedelta

from services.runtime.clock import Clock
from services.runtime.contract.absent import users_not_found
from services.runtime.data.change_feed import ChangeFeed
from services.runtime.deadline import Deadline
from services.runtime.erasure.deletions import Deletions
from services.runtime.erasure.model import Deletion, PseudonymKey
from services.runtime.erasure.removal import forgotten
from services.users.deletions.store import UserDeletionStore
from services.users.model import Change


class UserDeletions:
    """Deletes users."""

    def __init__(self, store: UserDeletionStore, jobs: Deletions, feed: ChangeFeed[Change]) -> None:
        self._store = store
        self._jobs = jobs
        self._feed = feed

    async def delete(self, user_id: str, deadline: Deadline, *, keep_messages: bool) -> Deletion:
        """Delete a user, or go on with the deletion. Raises USER_NOT_FOUND, and what `Deletions` raises."""
        deletion_id = await self._store.delete(user_id, PseudonymKey.new() if keep_messages else None)
        if deletion_id is None:
            known = await self._jobs.of_subject(user_id)
            if known is None:
                raise users_not_found([user_id])
            deletion_id = known.id
        else:
            self._feed.nudge()
        return await self._jobs.see_through(deletion_id, deadline)


class OwnEraser:
    """What users itself has left of a user; `settle` is how old changes are that every follower has read by then."""

    def __init__(self, store: UserDeletionStore, clock: Clock, *, settle: timedelta) -> None:
        self._store = store
        self._clock = clock
        self._settle = settle

    async def erase(self, deletion: Deletion, until: Deadline) -> bool:
        """Let the changes forget whom they were about; False when the time was too short."""
        return await forgotten(lambda: self._store.forget_changes(deletion, self._settle), self._clock, until)
