"""The sweeper: removes what is older than the retention of its room, a small batch at a time.

Rooms says what a room's retention is, and is asked anew for every page of rooms: nothing is removed by an answer that
is older than half a minute, and nothing without one.
"""

import random
from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import structlog

from services.messages.peers import RetentionClient
from services.messages.retention.model import Retention
from services.messages.retention.store import RetentionStore
from services.runtime.clock import Clock
from services.runtime.contract.errors import Aborted, ChatkitError
from services.runtime.ids import RoomUid
from services.runtime.metrics.rounds import Rounds

_log = structlog.get_logger()
_FIRST, _LAST = UUID(int=0), UUID(int=2**128 - 1)
_MOST_ROOMS = 500
# So many events go under one lock of their room's head.
_MOST_EVENTS = 200
_TRUSTED_SECONDS = 30.0


class Sweeper:
    """Walks over all rooms from time to time; `on_swept` is told of rooms that were changed."""

    def __init__(
        self,
        store: RetentionStore,
        rooms: RetentionClient,
        retention: Retention,
        clock: Clock,
        *,
        on_swept: Callable[[RoomUid], None],
        interval: float,
        pause: float,
    ) -> None:
        self._store = store
        self._rooms = rooms
        self._retention = retention
        self._clock = clock
        self._on_swept = on_swept
        self._interval = interval
        self._pause = pause
        self.rounds = Rounds(clock)
        self.events_removed = self.rooms_swept = self.rooms_left = 0

    async def run(self) -> None:
        """Sweep at every interval until cancelled."""
        # Not all replicas at once, and also where a process never gets as old as the interval is long.
        await self._clock.sleep(random.uniform(0, self._interval))
        while True:
            try:
                await self.sweep()
            except ChatkitError as error:
                self.rounds.fail()
                # Of a rooms of the release before, too, which can't tell what its successor was told.
                _log.warning("sweep_broken_off", reason=error.reason)
            await self._clock.sleep(self._interval)

    async def sweep(self) -> None:
        """Walk over all rooms once, from a place of one's own: so replicas share the work, and mostly do not meet."""
        start = uuid4()
        await self._walk(start, _LAST)
        await self._walk(_FIRST, start)
        self.rounds.succeed()

    async def _walk(self, after: UUID | None, last: UUID) -> None:
        age, most = timedelta(days=self._retention.least_days), min(_MOST_ROOMS, self._rooms.most)
        while after is not None:
            page = await self._store.old_rooms(after, last, age, most)
            await self._sweep_rooms(page.room_uids)
            after = page.last

    async def _sweep_rooms(self, room_uids: Iterable[RoomUid]) -> None:
        waiting, swept = deque(room_uids), set[RoomUid]()
        while waiting:
            asked_at = self._clock.monotonic()
            # Read before rooms is asked. The database's clock goes on while this process is stopped, and it is looked
            # at once more under the lock.
            now = await self._store.now()
            days = await self._rooms.of(waiting)
            until = now + timedelta(seconds=_TRUSTED_SECONDS)
            while waiting and self._clock.monotonic() - asked_at < _TRUSTED_SECONDS / 2:
                room_uid = waiting[0]
                # Of a room that rooms does not know nothing is concluded: it may be about to be deleted.
                cutoff = self._retention.cutoff(days[room_uid], now) if room_uid in days else None
                removed = 0 if cutoff is None else await self._remove(room_uid, cutoff, until)
                if removed:
                    swept.add(room_uid)
                if removed < _MOST_EVENTS:
                    waiting.popleft()
                    if room_uid in swept:
                        self.rooms_swept += 1
                        self._on_swept(room_uid)

    async def _remove(self, room_uid: RoomUid, cutoff: datetime, until: datetime) -> int:
        """Remove a batch and return how many events it had; none when somebody else is at it."""
        seqs = await self._store.beginning(room_uid, cutoff, _MOST_EVENTS)
        try:
            removed = len(seqs) if seqs and await self._store.remove(room_uid, seqs, until) else 0
        except Aborted:
            removed = 0
        if removed:
            self.events_removed += removed
            await self._clock.sleep(self._pause)
        elif seqs:
            self.rooms_left += 1
        return removed
