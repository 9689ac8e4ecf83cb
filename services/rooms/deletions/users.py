"""Removes what rooms has of a user who is deleted: others are told that they have left."""

from contextlib import suppress
from datetime import timedelta

import structlog

from services.rooms.deletions.users_store import UserErasureStore
from services.rooms.model import Change, ChangeKind
from services.rooms.store import RoomStore
from services.runtime.clock import Clock
from services.runtime.contract.errors import ChatkitError, NotFound
from services.runtime.data.change_feed import ChangeFeed
from services.runtime.data.writers import Writers
from services.runtime.deadline import Deadline
from services.runtime.erasure.model import ErasedUser
from services.runtime.erasure.removal import forgotten, removed_for_good

_log = structlog.get_logger()
_FORGETTING_SECONDS = 3600.0


class UserEraser:
    """What ErasureService does in rooms; `settle` is how old changes are that every follower has read by then."""

    def __init__(
        self,
        store: UserErasureStore,
        rooms: RoomStore,
        writers: Writers,
        feed: ChangeFeed[Change],
        clock: Clock,
        *,
        settle: timedelta,
    ) -> None:
        self._store = store
        self._rooms = rooms
        self._writers = writers
        self._feed = feed
        self._clock = clock
        self._settle = settle

    async def erase_user(self, user: ErasedUser, until: Deadline) -> bool:
        """Let nothing new come into being for a user and remove what there is; False when the time was too short."""
        await self._store.fence(user)
        self._feed.nudge()
        if not await removed_for_good(lambda: self._remove_some(user), self._writers, until):
            return False
        return await forgotten(lambda: self._store.forget_changes(user, self._settle), self._clock, until)

    async def forget_tokens(self) -> None:
        """Forget what tokens called users who were deleted long ago, until cancelled."""
        while True:
            await self._clock.sleep(_FORGETTING_SECONDS)
            try:
                await self._store.forget_tokens()
            except ChatkitError as error:
                _log.warning("tokens_not_forgotten", reason=error.reason)

    async def _remove_some(self, user: ErasedUser) -> int:
        left = await self._store.rooms_of(user)
        for room_uid in left:
            # It may be deleted, too.
            with suppress(NotFound):
                await self._rooms.remove_members(room_uid, [user.id], ChangeKind.MEMBER_DELETED)
        removed = len(left) + await self._store.forget_in_rooms(user) + await self._store.remove_rest(user)
        if removed:
            self._feed.nudge()
        return removed
