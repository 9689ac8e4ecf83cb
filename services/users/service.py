"""The use cases of users: no gRPC, no SQL."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from services.runtime.contract.absent import users_not_found
from services.runtime.contract.errors import AlreadyExists
from services.runtime.data.change_feed import ChangeFeed
from services.runtime.ids import UserUid
from services.users.model import Change, Draft, PageStart, SearchStart, User, repeated_ids
from services.users.store import UserStore


class Users:
    """What can be done with users."""

    def __init__(self, store: UserStore, feed: ChangeFeed[Change], *, new_uid: Callable[[], UUID]) -> None:
        self._store = store
        self._feed = feed
        self._new_uid = new_uid

    async def create(self, drafts: Sequence[Draft]) -> list[User]:
        """Create users, all or none, and return them in the order given. Raises USER_ALREADY_EXISTS."""
        taken = repeated_ids(drafts)
        if taken:
            raise _already_exist(taken)
        created = await self._store.insert([(UserUid(self._new_uid()), draft) for draft in drafts])
        if len(created) < len(drafts):
            raise _already_exist(draft.id for draft in drafts if draft.id not in created)
        return [created[draft.id] for draft in drafts]

    async def get(self, user_id: str) -> User:
        """Return one user. Raises USER_NOT_FOUND."""
        found = await self._store.find([user_id])
        if not found:
            raise users_not_found([user_id])
        return found[0]

    async def find(self, user_ids: Sequence[str]) -> list[User]:
        """Return those that exist, once each and in the order given."""
        wanted = list(dict.fromkeys(user_ids))
        found = {user.id: user for user in await self._store.find(wanted)}
        return [found[user_id] for user_id in wanted if user_id in found]

    async def page(self, start: PageStart, size: int) -> list[User]:
        """Return users by time of creation, oldest first."""
        return await self._store.page(start, size)

    async def search(self, prefix: str, start: SearchStart, size: int) -> tuple[list[User], SearchStart | None]:
        """Return users whose name or id begins so, and where the next page starts, unless nothing comes after it."""
        return await self._store.search(prefix, start, size)

    async def update(self, user_id: str, changes: Mapping[str, Any]) -> User:
        """Change fields of a user; where nothing is changed nothing moves, the update time included.

        Raises USER_NOT_FOUND.
        """
        if not changes:
            return await self.get(user_id)
        user = await self._store.update(user_id, changes)
        if user is None:
            raise users_not_found([user_id])
        self._feed.nudge()
        return user


def _already_exist(user_ids: Iterable[str]) -> AlreadyExists:
    return AlreadyExists(
        "USER_ALREADY_EXISTS",
        "users with these ids exist",
        metadata={"user_ids": json.dumps(list(user_ids), ensure_ascii=False)},
    )
