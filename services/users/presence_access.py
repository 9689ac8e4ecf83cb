"""Ends the streams of those whose role grants presence no longer: asks again where a role has changed.

Rooms being away ends none of them: everybody would be offline with it. A stream in doubt goes on until rooms answers.
"""

import asyncio

import structlog

from services.runtime.access import AccessChange, AccessChecker, RoleAssigned, RoleChanged
from services.runtime.clock import Clock
from services.runtime.errors import ChatkitError, PermissionDenied
from services.users.presence_hub import PresenceHub, PresenceSubscription

_log = structlog.get_logger()
_ASKED_AT_ONCE = 16


class PresenceAccess:
    """What changes of roles do to the streams of presence."""

    def __init__(self, access: AccessChecker, hub: PresenceHub, clock: Clock, *, retry_interval: float) -> None:
        self._access = access
        self._hub = hub
        self._clock = clock
        self._retry_interval = retry_interval
        # Each stream is in the queue once at the most.
        self._queue: asyncio.Queue[PresenceSubscription] = asyncio.Queue()
        self._queued: set[PresenceSubscription] = set()

    async def admit(self, subscription: PresenceSubscription) -> None:
        """Ask once more for a stream that the hub knows, because a change before that would not have ended it."""
        if subscription.query is not None:
            subscription.roles = (await self._access.check(subscription.query)).roles

    def changed(self, change: AccessChange) -> None:
        """Doubt the streams that a change may end."""
        match change:
            case RoleAssigned(room_uid=None):
                for subscription in self._hub.subscriptions_of(change.user_id):
                    self._doubt(subscription)
            case RoleChanged():
                for subscription in self._hub.subscriptions():
                    if subscription.roles is None or change.role in subscription.roles:
                        self._doubt(subscription)

    def missed(self) -> None:
        """Doubt every stream."""
        for subscription in self._hub.subscriptions():
            self._doubt(subscription)

    def fresh_again(self) -> None:
        """Do nothing: nobody waited for it."""

    async def run(self) -> None:
        """Ask about the streams in doubt, so many at once, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(_ASKED_AT_ONCE):
                group.create_task(self._ask())

    def _doubt(self, subscription: PresenceSubscription) -> None:
        if subscription.query is not None and subscription not in self._queued:
            self._queued.add(subscription)
            self._queue.put_nowait(subscription)

    async def _ask(self) -> None:
        while True:
            subscription = await self._queue.get()
            self._queued.discard(subscription)
            if self._hub.has(subscription):
                await self._ask_about(subscription)

    async def _ask_about(self, subscription: PresenceSubscription) -> None:
        try:
            await self.admit(subscription)
        except PermissionDenied as error:
            subscription.cut(error)
        except ChatkitError as error:
            _log.info("access_not_asked_again", reason=error.reason)
            self._doubt(subscription)
            await self._clock.sleep(self._retry_interval)
