"""Keeps the streams of users to those who still have the permission: asks again where a role has changed.

A stream in doubt is given nothing until there is an answer, however long that takes.
"""

from collections.abc import Iterable

from services.rooms.user_streams.index import UserIndex
from services.rooms.user_streams.subscription import UserSubscription
from services.runtime.access.doubts import DoubtQueue
from services.runtime.access.port import AccessChecker
from services.runtime.clock import Clock
from services.runtime.contract.errors import PermissionDenied, Unauthenticated

# Fewer than there are connections to the database.
_ASKED_AT_ONCE = 2


class UserAccess:
    """What changes of roles do to the streams of users."""

    def __init__(
        self, access: AccessChecker, index: UserIndex[UserSubscription], clock: Clock, *, retry_interval: float
    ) -> None:
        self._access = access
        self._index = index
        self._in_doubt: DoubtQueue[UserSubscription] = DoubtQueue(
            self._ask, clock, asked_at_once=_ASKED_AT_ONCE, retry_interval=retry_interval
        )

    def doubt(self, subscriptions: Iterable[UserSubscription]) -> None:
        """Hold streams back until it was asked whether their users still have the permission."""
        for subscription in subscriptions:
            if subscription.query is None:
                continue
            subscription.raise_doubt()
            self._in_doubt.put(subscription)

    async def confirm(self, subscription: UserSubscription) -> None:
        """Ask again, because a change before the stream was registered would not have brought it into doubt."""
        if subscription.query is not None and await subscription.doubt.ask(self._access, subscription.query):
            subscription.trust()

    async def run(self) -> None:
        """Ask about the streams in doubt, so many at once, until cancelled."""
        await self._in_doubt.run()

    async def _ask(self, subscription: UserSubscription) -> None:
        if not self._index.has(subscription):
            return
        try:
            await self.confirm(subscription)
        except (PermissionDenied, Unauthenticated) as error:
            subscription.cut(error)
