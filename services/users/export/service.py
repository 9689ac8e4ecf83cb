"""The use case of exporting a user: first what users has, then the other services one after the other.

Nothing is collected: each record goes on before the next one is asked for, at the pace of whoever reads.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import aclosing, contextmanager
from datetime import timedelta
from functools import partial

from services.runtime.contract.absent import users_not_found
from services.runtime.contract.errors import NotFound, Unavailable
from services.runtime.erasure.exporting import Export, Records, fields_of_message, record
from services.runtime.erasure.model import ErasedUser
from services.runtime.ids import UserId
from services.users.export.store import UserExportStore
from services.users.model import User
from services.users.protos import presence_proto, user_proto
from services.users.store import UserStore

# Each holds a stream to another service and a few pages of it.
MOST_AT_ONCE = 4
_SOON = timedelta(seconds=10)
_record = partial(record, "users")


class UserExports:
    """Exports users; `others` are what the other services have of them, in the order in which it is sent."""

    def __init__(self, users: UserStore, store: UserExportStore, others: Sequence[Export]) -> None:
        self._users = users
        self._store = store
        self._others = others
        self._running = 0

    async def export(self, user_id: str) -> Records:
        """Yield everything that the suite has of a user, and then how much that was.

        Raises USER_NOT_FOUND, also of a user who is deleted meanwhile: what came is not whole. Raises OVERLOADED, and
        what the other services raise.
        """
        with self._place():
            user = await self._find(user_id)
            counts: Counter[str] = Counter()
            subject = ErasedUser(user.uid, UserId(user.id))
            try:
                for found in (self._own(user), *(export(subject) for export in self._others)):
                    async with aclosing(found) as records:
                        async for one in records:
                            counts[one.kind] += 1
                            yield one
            except NotFound:
                # Of a user who goes, things may be missing first.
                await self._check_still_there(user)
                raise
            await self._check_still_there(user)
            yield _record("complete", counts)

    async def _own(self, user: User) -> Records:
        yield _record("user", fields_of_message(user_proto(user)))
        presence = await self._store.presence(user.uid)
        if presence is not None:
            yield _record("presence", fields_of_message(presence_proto(user.id, presence)))

    async def _find(self, user_id: str) -> User:
        found = await self._users.find([user_id])
        if not found:
            raise users_not_found([user_id])
        return found[0]

    async def _check_still_there(self, user: User) -> None:
        if (await self._find(user.id)).uid != user.uid:
            raise users_not_found([user.id])

    @contextmanager
    def _place(self) -> Iterator[None]:
        if self._running >= MOST_AT_ONCE:
            message = f"the process exports {MOST_AT_ONCE} users already"
            raise Unavailable("OVERLOADED", message, retry_after=_SOON)
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1
