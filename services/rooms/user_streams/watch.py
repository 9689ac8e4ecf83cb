"""Follows the changes of users, and tells them to the streams of those who share a room with the changed ones.

It goes on after the version that was told last, whatever becomes of users meanwhile; nothing else waits for it.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing, suppress

import structlog
from chatkit.internal.directory.v1 import directory_service_pb2 as pb2

from services.rooms.peers import UsersClient
from services.rooms.user_streams.store import UserStateStore
from services.rooms.user_streams.streams import UserStreams
from services.runtime.clock import Clock
from services.runtime.contract.errors import ChatkitError

_log = structlog.get_logger()
_SETTLE_SECONDS = 1.0


class UserWatch:
    """The one reader of WatchUsers in a process."""

    def __init__(
        self,
        users: UsersClient,
        store: UserStateStore,
        streams: UserStreams,
        clock: Clock,
        *,
        retry_interval: float,
        on_epoch: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._users = users
        self._store = store
        self._streams = streams
        self._clock = clock
        self._retry_interval = retry_interval
        # The version up to which changes were told; None before users was reached.
        self._version: int | None = None
        self._present = streams.present
        self._on_epoch = on_epoch
        self._is_following = False
        self._tried = asyncio.Event()

    async def settled(self) -> None:
        """Return once users was tried; a stream that opens before users is followed is reset when it is."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_SETTLE_SECONDS):
                await self._tried.wait()

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            try:
                await self._follow()
            except ChatkitError as error:
                if self._is_following:
                    _log.warning("users_unfollowed", reason=error.reason)
            self._is_following = False
            self._tried.set()
            await self._clock.sleep(self._retry_interval)

    async def _follow(self) -> None:
        async with aclosing(self._users.changes(self._version or 0, self._present.users_epoch)) as responses:
            async for response in responses:
                await self._take(response.events)
                self._is_following = True
                self._tried.set()

    async def _take(self, events: Sequence[pb2.DirectoryEvent]) -> None:
        if not events:
            return
        if any(event.HasField("reset") for event in events) or self._has_started_late(events[0]):
            self._streams.reset()
        else:
            self._present.users_seen = max(self._present.users_seen, events[-1].version)
            await self._tell([event for event in events if event.HasField("user_updated")])
        self._version = self._present.users_version = self._present.users_seen = events[-1].version
        for event in events:
            if epoch := event.reset.epoch or event.heartbeat.epoch:
                self._present.users_epoch = epoch
                self._on_epoch(epoch)

    async def _tell(self, changed: Sequence[pb2.DirectoryEvent]) -> None:
        if not changed or self._streams.is_empty:
            return
        rooms = await self._store.rooms_of([event.user_updated.id for event in changed])
        for event in changed:
            await self._streams.tell(event.user_updated, event.version, rooms[event.user_updated.id])

    def _has_started_late(self, first: pb2.DirectoryEvent) -> bool:
        """Tell whether changes may lie between the streams and the start, which was at the present version."""
        if self._is_following or self._version:
            return False
        return first.version != self._version
