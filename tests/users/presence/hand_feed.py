"""The changes of users as a test tells them, by hand, to whoever follows them."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from services.runtime.data.change_feed import FeedUpdate
from services.users.model import Change, ChangeKind
from tests.support.peers import user_uid_of as uid_of


class HandFeed:
    """A feed that a test fills; what is put is told to whoever follows, an error ends it."""

    def __init__(self) -> None:
        self.followed_after: list[int] = []
        self._told: asyncio.Queue[FeedUpdate[Change] | Exception] = asyncio.Queue()

    async def follow(self, after: int, _epoch: object = None) -> AsyncIterator[FeedUpdate[Change]]:
        """Tell what is put, as the feed of changes does."""
        self.followed_after.append(after)
        while True:
            told = await self._told.get()
            try:
                if isinstance(told, Exception):
                    raise told
                yield told
            finally:
                self._told.task_done()

    async def tell(self, *told: FeedUpdate[Change] | Exception) -> None:
        """Tell something, and return when the hub has taken it."""
        for one in told:
            self._told.put_nowait(one)
        await self._told.join()


def change(version: int, user_id: str, kind: ChangeKind = ChangeKind.USER_ONLINE) -> Change:
    """Return a change of a user."""
    return Change(
        version=version,
        kind=kind,
        user_uid=uid_of(user_id),
        user_id=user_id,
        time=datetime(2026, 1, 1, second=version % 60, tzinfo=UTC),
    )


def changes_of(*changes: Change) -> FeedUpdate[Change]:
    """Return what tells changes."""
    return FeedUpdate(changes[-1].version, changes)
