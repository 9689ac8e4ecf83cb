"""Keeps streams to those who still have access: ends those of removed members, asks again where a role has changed.

A stream in doubt is given nothing until rooms has answered, however long that takes.
"""

import asyncio

import structlog

from services.messages.hubs import Hubs, removed, room_replaced
from services.messages.subscription import Subscription
from services.runtime.access import AccessChange, AccessChecker, MembershipChanged, RoleAssigned, RoleChanged
from services.runtime.clock import Clock
from services.runtime.errors import ChatkitError, NotFound, PermissionDenied

_log = structlog.get_logger()
_ASKED_AT_ONCE = 16


class AccessWatch:
    """What changes of access do to the streams of this process."""

    def __init__(self, access: AccessChecker, hubs: Hubs, clock: Clock, *, retry_interval: float) -> None:
        self._access = access
        self._hubs = hubs
        self._clock = clock
        self._retry_interval = retry_interval
        # Each stream is in the queue once at the most.
        self._queue: asyncio.Queue[Subscription] = asyncio.Queue()
        self._queued: set[Subscription] = set()

    def changed(self, change: AccessChange) -> None:
        """End the streams that a change ends for certain, and doubt those that it may end."""
        match change:
            case MembershipChanged(is_member=False):
                self._hubs.end_member(change.room_uid, change.user_uid)
            case RoleAssigned():
                for subscription in self._hubs.subscriptions_of(change.user_id):
                    if change.room_uid in {None, subscription.room_uid} and not subscription.query.superuser:
                        self._doubt(subscription)
            case RoleChanged():
                for subscription in self._hubs.subscriptions():
                    if subscription.may_depend_on(change.role):
                        self._doubt(subscription)

    def missed(self) -> None:
        """Doubt every stream."""
        for subscription in self._hubs.subscriptions():
            self._doubt(subscription)

    def fresh_again(self) -> None:
        """Let the streams go on."""
        for subscription in self._hubs.subscriptions():
            subscription.wake()

    async def run(self) -> None:
        """Ask about the streams in doubt, so many at once, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(_ASKED_AT_ONCE):
                group.create_task(self._ask())

    def _doubt(self, subscription: Subscription) -> None:
        subscription.doubt()
        if subscription not in self._queued:
            self._queued.add(subscription)
            self._queue.put_nowait(subscription)

    async def _ask(self) -> None:
        while True:
            subscription = await self._queue.get()
            self._queued.discard(subscription)
            if self._hubs.has(subscription):
                await self._ask_about(subscription)

    async def _ask_about(self, subscription: Subscription) -> None:
        doubts, room_id = subscription.doubts, subscription.query.room_id
        try:
            grant = await self._access.check(subscription.query)
        except PermissionDenied as error:
            subscription.cut(error if error.reason == "PERMISSION_MISSING" else removed(room_id))
        except NotFound:
            subscription.cut(NotFound("ROOM_DELETED", "the room was deleted", metadata={"room_id": room_id}))
        except ChatkitError as error:
            _log.info("access_not_asked_again", reason=error.reason)
            self._doubt(subscription)
            await self._clock.sleep(self._retry_interval)
        else:
            if grant.room_uid != subscription.room_uid:
                subscription.cut(room_replaced())
            # An answer from before another change is not trusted; that change has queued the stream again.
            subscription.trust(grant.roles, doubts)
