"""Follows rooms' changes of access from the version that was seen last, whatever becomes of rooms meanwhile.

Each event is applied to the kept answers and told to the listeners in one step, in which nothing else runs.
"""

from collections.abc import Callable
from contextlib import aclosing
from uuid import UUID

import structlog
from chatkit.internal.access.v1 import access_service_pb2 as pb2

from services.runtime.access.cache import AccessCache, PeerTime
from services.runtime.access.client import AccessClient
from services.runtime.access.port import (
    AccessChange,
    AccessListener,
    MembershipChanged,
    RoleAssigned,
    RoleChanged,
    RoomDeleted,
    RoomUpdated,
)
from services.runtime.clock import Clock
from services.runtime.contract.errors import ChatkitError
from services.runtime.ids import RoomId, RoomUid, UserId, UserUid

_log = structlog.get_logger()


class AccessWatch:
    """The one reader of WatchAccess in a process."""

    def __init__(self, client: AccessClient, cache: AccessCache, clock: Clock, *, retry_interval: float) -> None:
        self.listeners: list[AccessListener] = []
        self._client = client
        self._cache = cache
        self._clock = clock
        self._retry_interval = retry_interval
        self._is_following = False
        # The epoch of the version that was seen last; empty before a rooms has told it.
        self._epoch = ""

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            try:
                await self._follow()
            except ChatkitError as error:
                if self._is_following:
                    _log.warning("access_unfollowed", reason=error.reason)
            self._is_following = False
            await self._clock.sleep(self._retry_interval)

    async def _follow(self) -> None:
        """Follow one stream to its end, or until what it proves is old when it arrives: a new one begins at once.

        That is so after this process was stopped, and when rooms' clock is the slower one for days.
        """
        time = PeerTime(self._clock)
        async with aclosing(self._client.changes(self._cache.version or 0, self._epoch)) as responses:
            async for response in responses:
                self._is_following = True
                for event in response.events:
                    if self._take(event, time) > self._cache.freshness.patience / 2:
                        _log.info("access_followed_late")
                        return

    def _take(self, event: pb2.AccessEvent, time: PeerTime) -> float:
        """Apply an event; return how many seconds ago it was made, as far as it says so."""
        was_fresh = self._cache.freshness.is_fresh()
        lag = 0.0
        match event.WhichOneof("event"):
            case "heartbeat":
                made_at = time.moment(event.heartbeat.elapsed_ms / 1000)
                lag = self._clock.monotonic() - made_at
                is_complete = self._cache.hear(event.version, made_at)
                self._epoch = event.heartbeat.epoch
            case "reset":
                self._cache.reset(event.version)
                self._epoch = event.reset.epoch
                is_complete = False
            case _:
                is_complete = self._change(event)
        if not is_complete:
            _log.info("access_followed_anew", change_version=event.version)
            self._tell(lambda listener: listener.missed())
        if not was_fresh and self._cache.freshness.is_fresh():
            self._tell(lambda listener: listener.fresh_again())
        return lag

    def _change(self, event: pb2.AccessEvent) -> bool:
        change = _change_of(event)
        is_complete = self._cache.take(event.version, change)
        if change is not None:
            self._tell(lambda listener: listener.changed(change))
        return is_complete

    def _tell(self, what: Callable[[AccessListener], None]) -> None:
        for listener in self.listeners:
            what(listener)


def _change_of(event: pb2.AccessEvent) -> AccessChange | None:
    """Decode a change; None for one that this version does not understand."""
    try:
        match event.WhichOneof("event"):
            case "member_added":
                return _membership(event.member_added, is_member=True)
            case "member_removed":
                return _membership(event.member_removed, is_member=False)
            case "role_assigned":
                assigned = event.role_assigned
                room_uid = RoomUid(UUID(bytes=assigned.room_uid)) if assigned.room_uid else None
                return RoleAssigned(UserId(assigned.user_id), room_uid) if assigned.user_id else None
            case "role_changed":
                return RoleChanged((event.role_changed.scope, event.role_changed.name))
            case "room_updated" | "room_deleted" as kind:
                room_uid = RoomUid(UUID(bytes=getattr(event, kind).room_uid))
                return RoomUpdated(room_uid) if kind == "room_updated" else RoomDeleted(room_uid)
    except ValueError:
        _log.warning("access_change_malformed", change_version=event.version)
    return None


def _membership(change: pb2.MemberChange, *, is_member: bool) -> MembershipChanged:
    return MembershipChanged(
        RoomUid(UUID(bytes=change.room_uid)),
        UserUid(UUID(bytes=change.user_uid)),
        UserId(change.user_id),
        is_member=is_member,
        room_id=RoomId(change.room_id),
    )
