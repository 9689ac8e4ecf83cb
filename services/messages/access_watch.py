"""Ends the streams of users who lose access: it follows rooms' changes from the version that it has seen.

Where changes may have been missed, every open stream is asked about again.
"""

import asyncio
from uuid import UUID

import structlog
from chatkit.internal.access.v1 import access_service_pb2 as access_pb2

from services.messages.hubs import Hubs, removed
from services.messages.peers import Rooms
from services.messages.subscription import Subscription
from services.runtime.clock import Clock
from services.runtime.errors import ChatkitError, NotFound, PermissionDenied

_log = structlog.get_logger()
_ASKED_AT_ONCE = 16


class AccessWatch:
    """Follows rooms' changes for the streams of this process."""

    def __init__(self, rooms: Rooms, hubs: Hubs, clock: Clock, *, retry_interval: float) -> None:
        self._rooms = rooms
        self._hubs = hubs
        self._clock = clock
        self._retry_interval = retry_interval
        self._version = 0

    async def run(self) -> None:
        """Follow until cancelled, whatever becomes of rooms meanwhile."""
        while True:
            try:
                if self._version == 0:
                    await self._ask_again()
                async for response in self._rooms.changes(self._version):
                    for event in response.events:
                        await self._take(event)
            except ChatkitError as error:
                _log.info("access_watch_interrupted", reason=error.reason)
            await self._clock.sleep(self._retry_interval)

    async def _take(self, event: access_pb2.AccessEvent) -> None:
        match event.WhichOneof("event"):
            case "member_removed":
                self._remove(event.member_removed)
            case "reset":
                await self._ask_again()
        self._version = event.version

    def _remove(self, change: access_pb2.MemberChange) -> None:
        room_uid, user_uid = UUID(bytes=change.room_uid), UUID(bytes=change.user_uid)
        self._hubs.end_member(room_uid, user_uid)

    async def _ask_again(self) -> None:
        at_once = asyncio.Semaphore(_ASKED_AT_ONCE)

        async def ask(subscription: Subscription) -> None:
            async with at_once:
                try:
                    await self._rooms.check(subscription.query)
                except (PermissionDenied, NotFound):
                    subscription.end(removed(subscription.query.room_id))

        await asyncio.gather(*(ask(subscription) for subscription in self._hubs.subscriptions()))
