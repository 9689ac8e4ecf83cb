"""Fan-out: one hub per room and process, sole owner of the last seq that its subscribers were given.

A hub accepts exactly last + 1, drops what is older, and reads a gap once for all its subscribers. It keeps the last
events as bytes, so that a storm of reconnects reads PostgreSQL once per room.
"""

import asyncio
from collections import deque
from uuid import UUID

import structlog

from services.messages import wire
from services.messages.model import EMPTY, Head, LogEntry
from services.messages.store import LogStore
from services.messages.subscription import Subscription
from services.runtime.errors import Aborted, ChatkitError

_log = structlog.get_logger()
_MOST_EARLY = 256
_READ_AT_ONCE = 256


class RoomHub:
    """The subscribers of one room, and the end of its log."""

    def __init__(self, room_uid: UUID, room_id: str, store: LogStore, kept: int) -> None:
        self.room_uid = room_uid
        self.room_id = room_id
        self.subscriptions: set[Subscription] = set()
        self.last = 0
        self.oldest_seq = EMPTY.oldest_seq
        # When the head was last read or moved, by the monotonic clock; heartbeats assert it.
        self.head_known_at = 0.0
        self._store = store
        self._kept: deque[tuple[LogEntry, bytes]] = deque(maxlen=kept)
        # Entries that came before their turn.
        self._early: dict[int, LogEntry] = {}
        self._reading = asyncio.Lock()
        self._seeded = False

    @property
    def head(self) -> Head:
        """The ends of the log as far as this hub has followed it."""
        return Head(self.last, self.oldest_seq)

    @property
    def is_seeded(self) -> bool:
        """Whether the end of the log was read."""
        return self._seeded

    @property
    def has_gap(self) -> bool:
        """Whether an event came whose predecessor did not."""
        return self._seeded and bool(self._early)

    def forget(self) -> None:
        """Read the end of the log anew before the next subscriber opens."""
        self._seeded = False
        self._kept.clear()
        self._early.clear()

    async def follow(self, most: int) -> None:
        """Read the end of the log, unless it was read; at least `most` entries are kept if there are as many."""
        async with self._reading:
            if self._seeded:
                return
            tail = await self._store.tail(self.room_uid, most)
            self.last, self.oldest_seq = tail.head.seq, tail.head.oldest_seq
            self._kept.extend((entry, wire.created_event(self.room_id, entry)) for entry in tail.entries)
            self._seeded = True
            self._take_early()

    def offer(self, entry: LogEntry) -> bool:
        """Take an entry; False when entries before it are missing and must be read."""
        if not self._seeded or entry.seq > self.last + 1:
            # A full waiting room is emptied: the gap is read from the database in any case.
            if len(self._early) >= _MOST_EARLY:
                self._early.clear()
            self._early[entry.seq] = entry
            return not self._seeded
        if entry.seq == self.last + 1:
            self._accept(entry)
            self._take_early()
        return True

    async def heal(self, head_seq: int) -> None:
        """Read what is missing up to `head_seq`."""
        async with self._reading:
            while self._seeded and self.last < head_seq:
                # Entries may be offered while this reads, and then they, too, are progress.
                before = self.last
                entries = await self._store.after(self.room_uid, before, _READ_AT_ONCE)
                for entry in entries:
                    self.offer(entry)
                if self.last == before:
                    raise hole(self.room_uid, self.last, head_seq)

    def entries_after(self, seq: int) -> list[tuple[LogEntry, bytes]]:
        """Return the kept entries after `seq`."""
        return [kept for kept in self._kept if kept[0].seq > seq]

    def last_entries(self, most: int) -> list[tuple[LogEntry, bytes]]:
        """Return the last kept entries."""
        return list(self._kept)[-most:] if most else []

    def end(self, error: ChatkitError) -> None:
        """End the streams."""
        for subscription in self.subscriptions:
            subscription.end(error)

    def _accept(self, entry: LogEntry) -> None:
        event = wire.created_event(self.room_id, entry)
        self.last = entry.seq
        self._kept.append((entry, event))
        for subscription in self.subscriptions:
            subscription.push(entry.seq, event)

    def _take_early(self) -> None:
        while (entry := self._early.pop(self.last + 1, None)) is not None:
            self._accept(entry)
        self._early = {seq: entry for seq, entry in self._early.items() if seq > self.last}


def hole(room_uid: UUID, last: int, head_seq: int) -> Aborted:
    """Return the error for a log that does not hold what its head says."""
    _log.error("log_has_a_hole", room_uid=str(room_uid), last=last, head_seq=head_seq)
    return Aborted("LOG_RESET", "the room's log has changed: subscribe again")
