"""Looks at the ends of the logs that are followed, and heals the hubs that are behind: nothing depends on being told.

All rooms are looked at in laps of small slices, so that neither reading nor comparing holds anything up, however many
they are; a lap takes a part of the heartbeats' interval at most. What takes long, such as reading what is missing of a
room, is done beside the lap.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import structlog

from services.messages.fanout.hub import RoomHub
from services.messages.log.store import LogStore
from services.messages.model import Head
from services.runtime.clock import Clock
from services.runtime.contract.absent import room_deleted
from services.runtime.contract.errors import Aborted, Unavailable
from services.runtime.steps import MOST_AT_ONCE, Pace, slices

_log = structlog.get_logger()
_GAP_SECONDS = 0.005
# A lap is spread over time when there are very many rooms. A room that comes while one is under way waits for the next,
# and heartbeats need it to be looked at within their interval.
_HEADS_PER_SECOND = 5_000
_LAP_OF_HEARTBEAT = 0.45
# For how long a room that has moved is looked at more often than the lap comes by.
_BUSY_SECONDS = 30.0
_HEALED_AT_ONCE = 2
# Called when a log has lost what this process has seen of it: nobody may resume in that log's epoch any more.
OnLoss = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Found:
    """A head that is not where the hub was when it was asked for, and when that was."""

    hub: RoomHub
    last_before: int
    head: Head
    asked_at: float


class Heads:
    """Keeps the hubs of a process up to the database."""

    def __init__(
        self,
        store: LogStore,
        clock: Clock,
        followed: Callable[[], list[RoomHub]],
        *,
        interval: float,
        heartbeat_interval: float,
        on_loss: OnLoss,
    ) -> None:
        self._store = store
        self._clock = clock
        self._followed = followed
        self._on_loss = on_loss
        self._interval = interval
        self._longest_lap = heartbeat_interval * _LAP_OF_HEARTBEAT
        # When rooms moved that have moved lately, the latest last.
        self._busy: dict[RoomHub, float] = {}
        # What is to be looked at at once: rooms of which an event came before its turn, others, and all that remain.
        self._gaps: set[RoomHub] = set()
        self._doubtful: dict[RoomHub, None] = {}
        self._remaining: list[RoomHub] = []
        self._look_now = asyncio.Event()
        # What takes longer than a comparison: each room once, with what was found last.
        self._to_heal: asyncio.Queue[RoomHub] = asyncio.Queue()
        self._found: dict[RoomHub, _Found] = {}
        self._losing = asyncio.Lock()
        # When all rooms had been looked at last, by the monotonic clock.
        self.looked_at = clock.monotonic()
        # Rooms whose log was another than before.
        self.resets = 0

    def moved(self, hub: RoomHub) -> None:
        """Hear that a room has moved."""
        self._busy.pop(hub, None)
        self._busy[hub] = self._clock.monotonic()

    def gap(self, hub: RoomHub) -> None:
        """Look at a room at once of which an event came before its turn."""
        self._gaps.add(hub)
        self._look_now.set()

    def doubt(self, hub: RoomHub) -> None:
        """Look at a room at once."""
        self._doubtful[hub] = None
        self._look_now.set()

    def doubt_all(self) -> None:
        """Look at every room at once."""
        self._remaining = self._followed()
        self._look_now.set()

    async def look(self, hubs: Sequence[RoomHub]) -> None:
        """Bring hubs up to the heads in the database; UNAVAILABLE when they can't be read."""
        for some in slices(hubs):
            for found in await self._read(some):
                await self._settle(found)

    async def run(self) -> None:
        """Look until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._walk())
            group.create_task(self._watch_busy())
            group.create_task(self._heal_doubtful())
            for _ in range(_HEALED_AT_ONCE):
                group.create_task(self._heal_in_turn())

    async def _walk(self) -> None:
        await self._clock.sleep(self._interval)
        while True:
            hubs, began = self._followed(), self._clock.monotonic()
            parts = list(slices(hubs)) or [hubs]
            seconds = self._lap_seconds(len(hubs))
            is_whole = True
            for number, some in enumerate(parts, 1):
                is_whole &= await self._try(some)
                left = began + seconds * number / len(parts) - self._clock.monotonic()
                # Late or not, others run in between.
                await (self._clock.sleep(left) if left > 0 else asyncio.sleep(0))
            if is_whole:
                self.looked_at = began

    def _lap_seconds(self, count: int) -> float:
        return max(self._interval, min(count / _HEADS_PER_SECOND, self._longest_lap))

    async def _watch_busy(self) -> None:
        while True:
            await self._clock.sleep(self._interval)
            since = self._clock.monotonic() - _BUSY_SECONDS
            pace = Pace()
            while self._busy and self._busy[oldest := next(iter(self._busy))] < since:
                del self._busy[oldest]
                await pace.did()
            if len(self._followed()) <= self._interval * _HEADS_PER_SECOND:
                # The lap is as quick as that.
                continue
            busy = list(islice(reversed(self._busy), int(self._interval * _HEADS_PER_SECOND)))
            for some in slices(busy):
                await self._try(some)
                await asyncio.sleep(0)

    async def _heal_doubtful(self) -> None:
        while True:
            await self._look_now.wait()
            self._look_now.clear()
            while self._gaps or self._doubtful or self._remaining:
                if self._gaps:
                    # Two replicas that write to one room overtake each other: the missing one is mostly on its way.
                    await self._clock.sleep(_GAP_SECONDS)
                some = self._take_doubtful()
                if not await self._try(some):
                    self._doubtful.update(dict.fromkeys(some))
                    await self._clock.sleep(self._interval / 10)
                await asyncio.sleep(0)

    def _take_doubtful(self) -> list[RoomHub]:
        """Take what is to be looked at next: gaps first, and of the others no more than a slice."""
        gaps, self._gaps = self._gaps, set()
        some = dict.fromkeys(hub for hub in gaps if hub.has_gap)
        for hub in list(islice(self._doubtful, MOST_AT_ONCE)):
            del self._doubtful[hub]
            some[hub] = None
        if len(some) < MOST_AT_ONCE:
            some.update(dict.fromkeys(self._remaining[-MOST_AT_ONCE:]))
            del self._remaining[-MOST_AT_ONCE:]
        return list(some)

    async def _try(self, hubs: Sequence[RoomHub]) -> bool:
        """Look at hubs, and have those healed that are behind; False when the database can't be reached."""
        try:
            found = await self._read(hubs)
        except (Unavailable, Aborted) as error:
            # Away, or locked by whoever puts the schema back.
            _log.warning("heads_unread", reason=error.reason)
            return False
        for one in found:
            if one.hub not in self._found:
                self._to_heal.put_nowait(one.hub)
            self._found[one.hub] = one
        return True

    async def _read(self, hubs: Iterable[RoomHub]) -> list[_Found]:
        """Compare hubs with their heads; return what is to be settled, and take note of all that stand there."""
        asked = [(hub, hub.head) for hub in hubs if hub.is_seeded and hub.subscriptions]
        if not asked:
            return []
        asked_at = self._clock.monotonic()
        others = await self._store.moved_heads([(hub.room_uid, head) for hub, head in asked])
        found = []
        for hub, head in asked:
            other = others.get(hub.room_uid) if others else None
            if other is not None:
                found.append(_Found(hub, head.seq, other, asked_at))
            elif hub.is_seeded:
                hub.head_known_at = asked_at
        return found

    async def _heal_in_turn(self) -> None:
        while True:
            hub = await self._to_heal.get()
            found = self._found[hub]
            try:
                await self._settle(found)
            except (Unavailable, Aborted) as error:
                _log.warning("gap_unread", reason=error.reason)
                await self._clock.sleep(self._interval / 10)
                self.doubt(hub)
            if self._found[hub] is found:
                del self._found[hub]
            else:
                # More of it was found to be missing meanwhile; others come first.
                self._to_heal.put_nowait(hub)
            # One at a time, because each may have much to serialize.
            await asyncio.sleep(0)

    async def _settle(self, found: _Found) -> None:
        """Bring a hub up to a head, or end its streams where the log is another."""
        hub = found.hub
        if not hub.is_seeded or not hub.subscriptions:
            return
        if found.head.is_erased:
            hub.end(room_deleted(hub.room_id))
            hub.forget()
            return
        if found.head.seq < found.last_before:
            await self._end_epoch(hub)
            self._end(found, Aborted("LOG_RESET", "the room's log is shorter than it was: subscribe again"))
            return
        try:
            await hub.heal(found.head.seq)
            hub.sweep(found.head.oldest_seq)
            hub.head_known_at = found.asked_at
        except Aborted as error:
            if error.reason != "LOG_RESET":
                raise
            self._end(found, error)

    async def _end_epoch(self, hub: RoomHub) -> None:
        """End it before the streams: those who come back would be taken for clients who know what is there now."""
        async with self._losing:
            # Else another room's loss has ended it.
            if hub.is_seeded:
                await self._on_loss()

    def _end(self, found: _Found, error: Aborted) -> None:
        hub = found.hub
        self.resets += 1
        _log.error("log_reset", room_uid=str(hub.room_uid), last=found.last_before, head_seq=found.head.seq)
        hub.end(error)
        hub.forget()
