"""Follows the changes of users, and tells them to the streams of those who share a room with the changed ones.

It goes on after the version that was told last, whatever becomes of users meanwhile; nothing else waits for it.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing, suppress

import structlog
from chatkit.internal.directory.v1 import directory_service_pb2 as pb2

from services.rooms.peers import UsersClient
from services.rooms.user_streams.position import UserPosition
from services.rooms.user_streams.recent_users import ChangedUser, RecentUsers
from services.rooms.user_streams.store import UserStateStore
from services.rooms.user_streams.streams import UserStreams
from services.runtime.clock import Clock
from services.runtime.contract.errors import ChatkitError
from services.runtime.problems import problem_of

_log = structlog.get_logger()
_SETTLE_SECONDS = 1.0
# Users whose changes are kept for those who were away.
_MOST_RECENT = 5_000
_MOST_RECENT_BYTES = 4 * 1024 * 1024
# Whoever has missed more of them begins with the state.
_MOST_MISSED = 1_000
# How many versions more are read than somebody has asked for, because others will ask for earlier ones.
_READ_BEFORE = 1_000
_REACH_SECONDS = 3.0


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
        self._recent = RecentUsers(most=_MOST_RECENT, most_bytes=_MOST_RECENT_BYTES)
        self._reaching_back = asyncio.Lock()
        # It is no use to reach back to this version, and none to try again before that, by the monotonic clock.
        self._out_of_reach = 0
        self._reach_again_at = float("-inf")

    async def settled(self) -> None:
        """Return once users was tried; a stream that opens before users is followed is reset when it is."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_SETTLE_SECONDS):
                await self._tried.wait()

    async def reaches(self, after: UserPosition) -> bool:
        """Tell whether all who were changed after a position are known, having read them once for all if need be."""
        if not after.users_epoch or after.users_epoch != self._present.users_epoch:
            return False
        if self.changed_after(after.users_version) is None:
            async with self._reaching_back:
                if self.changed_after(after.users_version) is None:
                    await self._reach_back(after.users_version)
        changed = self.changed_after(after.users_version)
        return changed is not None and len(changed) <= _MOST_MISSED

    def changed_after(self, version: int) -> list[ChangedUser] | None:
        """Return the users who were changed after a version, in order; None when those are not all known."""
        return self._recent.after(version)

    async def _reach_back(self, version: int) -> None:
        # After 0 users tells what comes from now on.
        if version <= self._out_of_reach or self._clock.monotonic() < self._reach_again_at:
            return
        try:
            for since in (max(1, version - _READ_BEFORE), version):
                async with asyncio.timeout(_REACH_SECONDS):
                    if await self._read_from(since):
                        return
            self._out_of_reach = version
        except (ChatkitError, TimeoutError) as error:
            _log.info("changed_users_unread", problem=problem_of(error))
            self._reach_again_at = self._clock.monotonic() + self._retry_interval

    async def _read_from(self, since: int) -> bool:
        """Read the changes between a version and those that are known; False when they are not kept, or too many."""
        until, older = self._recent.since, list[ChangedUser]()
        if until is None:
            return False
        async with aclosing(self._users.changes(since, self._present.users_epoch)) as responses:
            async for response in responses:
                for event in response.events:
                    if event.HasField("reset") or len(older) > _MOST_RECENT:
                        return False
                    if event.HasField("user_updated") and event.version <= until:
                        older.append(ChangedUser(event.version, event.user_updated))
                    if event.version >= until:
                        return self._recent.extend(since, until, older)
        return False

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
            self._recent.reset(events[-1].version)
            self._out_of_reach = 0
            self._streams.reset()
        else:
            for event in events:
                if event.HasField("user_updated"):
                    self._recent.add(ChangedUser(event.version, event.user_updated))
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
