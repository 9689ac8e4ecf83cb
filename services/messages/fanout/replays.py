"""How streams start: what their hubs must have read before, and the events that a room begins with.

Few replays go on at once in a process, and each reads a bounded page of rooms in a bounded number of statements: so a
device with a thousand rooms, or a thousand devices that come back, hold up nobody for long.
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from services.messages import frames
from services.messages.fanout.hub import RoomHub
from services.messages.fanout.hubs import Hubs
from services.messages.log.tails import TailRequest, TailsStore
from services.messages.model import Position, RoomOpening, SnapshotReason, Start, refusal_to_resume, room_epoch
from services.runtime.clock import Clock
from services.runtime.contract.errors import Unavailable
from services.runtime.data.epoch import Epoch
from services.runtime.ids import RoomUid

_log = structlog.get_logger()
_REPLAYS_AT_ONCE = 4
# A page has at most so many rooms, and no more than about so many events.
_PAGE_ROOMS = 50
_PAGE_EVENTS = 1_000
# How many events are expected of a room that resumes: mostly few were missed, and never more than are replayed.
_EXPECTED_ON_RESUMING = 20
# What is read of a room's log is rounded up, so that those who resume a little farther back find it read.
_STEP = 25


@dataclass(frozen=True, slots=True)
class StreamStart:
    """How a room starts on a stream: the events in front of `caught_up`, which is the last, and where they start."""

    epoch: str
    sent_seq: int
    events: list[tuple[int, bytes]]
    caught_up: tuple[int, bytes]


class Replays:
    """What streams start with."""

    def __init__(self, store: TailsStore, hubs: Hubs, epoch: Epoch, clock: Clock, *, most: int) -> None:
        self._store = store
        self._hubs = hubs
        self._epoch = epoch
        self._clock = clock
        # The most events that are replayed on resuming.
        self._most = most
        self._at_once = asyncio.Semaphore(_REPLAYS_AT_ONCE)

    def epoch_of(self, room_uid: RoomUid) -> str:
        """Return the epoch of a room's log; DATABASE_UNAVAILABLE as long as the database was never reached."""
        deployment = self._epoch.value
        if deployment is None:
            raise Unavailable(
                "DATABASE_UNAVAILABLE",
                "the database was not reached yet",
                retry_after=timedelta(seconds=1),
            )
        return room_epoch(deployment, room_uid)

    async def read_page(self, page: Sequence[tuple[RoomHub, Start]]) -> None:
        """Read what hubs lack, and no more, in a number of statements that does not depend on how many they are."""
        async with self._at_once, AsyncExitStack() as stack:
            # In order, so that two pages never wait for each other.
            for hub in sorted((hub for hub, _ in page), key=lambda hub: hub.room_uid):
                await stack.enter_async_context(hub.reading)
            await self._read_tails(page)
            await self._read_messages(page)
        await self._look(page)

    async def _look(self, page: Iterable[tuple[RoomHub, Start]]) -> None:
        # A client that knows more than this process: another one has appended.
        behind = [hub.room_uid for hub, start in page if start.after is not None and start.after.seq > hub.last]
        if behind:
            await self._hubs.look(behind)

    async def _read_tails(self, page: Iterable[tuple[RoomHub, Start]]) -> None:
        lacking = {hub.room_uid: (hub, ask) for hub, start in page if (ask := self._ask(hub, start)) is not None}
        if not lacking:
            return
        asked_at = self._clock.monotonic()
        tails = await self._store.tails([ask for _, ask in lacking.values()])
        for room_uid, (hub, _) in lacking.items():
            if not hub.is_seeded:
                hub.head_known_at = asked_at
            hub.take(tails[room_uid])

    def _ask(self, hub: RoomHub, start: Start) -> TailRequest | None:
        after = start.after if start.after is not None and start.after.epoch == self.epoch_of(hub.room_uid) else None
        if not hub.is_seeded:
            return (
                TailRequest(hub.room_uid, 0, start.last)
                if after is None
                else TailRequest(hub.room_uid, after.seq, self._most)
            )
        if after is None or hub.covers(after.seq) or hub.last - after.seq > self._most:
            return None
        return TailRequest(hub.room_uid, after.seq - after.seq % _STEP, self._most)

    async def _read_messages(self, page: Iterable[tuple[RoomHub, Start]]) -> None:
        # Repeated for those of which so much came meanwhile that it is unknown what became of what was read.
        while wanted := {
            hub.room_uid: (hub, one)
            for hub, start in page
            if not self._resumes(hub, start) and (one := hub.wanted_messages(start.last)) is not None
        }:
            asked = [TailRequest(room_uid, one.before_seq, one.most) for room_uid, (_, one) in wanted.items()]
            found = await self._store.messages(asked)
            for room_uid, (hub, one) in wanted.items():
                hub.put_messages(one, found[room_uid])

    def _resumes(self, hub: RoomHub, start: Start) -> bool:
        return self._snapshot(hub, self.epoch_of(hub.room_uid), start) is None

    def _snapshot(self, hub: RoomHub, epoch: str, start: Start) -> SnapshotReason | None:
        if start.after is None:
            return SnapshotReason.NEW
        refusal = refusal_to_resume(start.after, epoch, hub.head, self._most)
        # So much has come since the log was read that it was too far already when that was.
        return SnapshotReason.TOO_FAR if refusal is None and not hub.covers(start.after.seq) else refusal

    def beginning(self, hub: RoomHub, start: Start, now: datetime) -> StreamStart:
        """Return how a room starts, of what its hub has read. Nothing may be awaited until it is queued."""
        epoch = self.epoch_of(hub.room_uid)
        snapshot = self._snapshot(hub, epoch, start)
        if start.after is not None and start.after.epoch == epoch and start.after.seq > hub.last:
            log_beyond_head(hub.room_uid, start.after.seq, hub.last)
        if start.after is not None and snapshot is None:
            kept, sent_seq = hub.entries_after(start.after.seq), start.after.seq
        else:
            kept = hub.last_entries(start.last)
            sent_seq = kept[0][0].seq - 1 if kept else hub.last
        opening = RoomOpening(Position(epoch, hub.last), hub.oldest_seq, snapshot, [entry for entry, _ in kept])
        return StreamStart(
            epoch,
            sent_seq,
            [(0, frames.opened_event(hub.room_id, now, opening)), *((entry.seq, event) for entry, event in kept)],
            (hub.last, frames.caught_up_event(hub.room_id, now, hub.last)),
        )

    def beginning_of_state(self, hub: RoomHub, now: datetime) -> StreamStart:
        """Return how a room starts of which only the read state is sent."""
        position = Position(self.epoch_of(hub.room_uid), hub.last)
        opened = frames.read_state_opened_event(hub.room_id, now, position)
        caught_up = frames.caught_up_event(hub.room_id, now, hub.last)
        return StreamStart(position.epoch, hub.last, [(0, opened)], (hub.last, caught_up))


def log_beyond_head(room_uid: RoomUid, seq: int, head_seq: int) -> None:
    """Log that a client knows of an event that the log has lost, unless the client has made it up.

    Any member can, and as often as they like, so that nobody is called out of bed for it.
    """
    _log.info("position_beyond_head", room_uid=str(room_uid), seq=seq, head_seq=head_seq)


def pages(wanted: Sequence[tuple[str, Start]], most: int = _PAGE_ROOMS) -> Iterator[Sequence[tuple[str, Start]]]:
    """Split rooms into pages that are read at once, each of so many at the most."""
    most = min(most, _PAGE_ROOMS)
    page: list[tuple[str, Start]] = []
    events = 0
    for room in wanted:
        expected = max(room[1].last, 1) if room[1].after is None else _EXPECTED_ON_RESUMING
        if page and (len(page) == most or events + expected > _PAGE_EVENTS):
            yield page
            page, events = [], 0
        page.append(room)
        events += expected
    if page:
        yield page
