"""Keeps the streams of users to those who still have the permission: asks again where a role has changed.

A stream in doubt is given nothing until there is an answer, however long that takes.
"""

import asyncio
from collections.abc import Iterable

import structlog

from services.rooms.user_index import UserIndex
from services.rooms.user_subscription import UserSubscription
from services.runtime.access import AccessChecker
from services.runtime.clock import Clock
from services.runtime.errors import ChatkitError, PermissionDenied

_log = structlog.get_logger()
# Fewer than there are connections to the database.
_ASKED_AT_ONCE = 2


class UserAccess:
    """What changes of roles do to the streams of users."""

    def __init__(self, access: AccessChecker, index: UserIndex, clock: Clock, *, retry_interval: float) -> None:
        self._access = access
        self._index = index
        self._clock = clock
        self._retry_interval = retry_interval
        # Each stream is in the queue once at the most.
        self._queue: asyncio.Queue[UserSubscription] = asyncio.Queue()
        self._queued: set[UserSubscription] = set()

    def doubt(self, subscriptions: Iterable[UserSubscription]) -> None:
        """Hold streams back until it was asked whether their users still have the permission."""
        for subscription in subscriptions:
            if subscription.query is None:
                continue
            subscription.doubt()
            if subscription not in self._queued:
                self._queued.add(subscription)
                self._queue.put_nowait(subscription)

    async def confirm(self, subscription: UserSubscription) -> None:
        """Ask again, because a change before the stream was registered would not have brought it into doubt."""
        if subscription.query is None:
            return
        doubts = subscription.doubts
        grant = await self._access.check(subscription.query)
        subscription.trust(grant.roles, doubts)

    async def run(self) -> None:
        """Ask about the streams in doubt, so many at once, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(_ASKED_AT_ONCE):
                group.create_task(self._ask())

    async def _ask(self) -> None:
        while True:
            subscription = await self._queue.get()
            self._queued.discard(subscription)
            if self._index.has(subscription):
                await self._ask_about(subscription)

    async def _ask_about(self, subscription: UserSubscription) -> None:
        try:
            await self.confirm(subscription)
        except PermissionDenied as error:
            subscription.cut(error)
        except ChatkitError as error:
            _log.info("access_not_asked_again", reason=error.reason)
            self.doubt([subscription])
            await self._clock.sleep(self._retry_interval)
