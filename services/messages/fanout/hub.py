"""Fan-out: one hub per room and process, sole owner of the last seq that its subscribers were given.

A hub accepts exactly last + 1, drops what is older, and reads a gap once for all its subscribers. It keeps the last
events and messages as bytes, so that a storm of reconnects reads PostgreSQL once per room; what is kept of a message is
always its newest copy, so that nothing that was edited away or deleted is sent again.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from services.messages import frames
from services.messages.fanout.deliveries import Deliveries
from services.messages.fanout.recent_messages import KeptEntry, RecentMessages
from services.messages.log.store import LogStore, LogStretch
from services.messages.model import EMPTY, EventKind, Head, LogEntry
from services.messages.streams.follower import Follower
from services.runtime.contract.errors import Aborted, ChatkitError
from services.runtime.ids import RoomUid

_log = structlog.get_logger()
_MOST_EARLY = 256
_READ_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class WantedMessages:
    """Which messages must be read: so many before a seq, as of when the hub had followed the log so far."""

    before_seq: int
    most: int
    last: int


class LogLife:
    """One life of the logs, which all hubs share that follow it: what they know is void at once when it is over."""

    def __init__(self) -> None:
        self.is_over = False


class Tally:
    """What the hubs of a process have done together."""

    __slots__ = ("delivered", "deliveries", "healed", "taken")

    def __init__(self, deliveries: Deliveries | None = None) -> None:
        self.taken = self.delivered = self.healed = 0
        self.deliveries = deliveries or Deliveries()


class RoomHub:
    """The subscribers of one room, and the end of its log."""

    def __init__(
        self,
        room_uid: RoomUid,
        room_id: str,
        store: LogStore,
        kept: int,
        life: LogLife | None = None,
        tally: Tally | None = None,
    ) -> None:
        self.room_uid = room_uid
        self.room_id = room_id
        self.subscriptions: set[Follower] = set()
        self.last = 0
        self.oldest_seq = EMPTY.oldest_seq
        # When the head was last read or moved, by the monotonic clock; heartbeats assert it.
        self.head_known_at = 0.0
        self._store = store
        self._kept: deque[KeptEntry] = deque(maxlen=kept)
        self._recent = RecentMessages(kept, self._serialized)
        # Entries that came before their turn.
        self._early: dict[int, LogEntry] = {}
        # Held by whoever reads what the hub takes.
        self.reading = asyncio.Lock()
        self._was_seeded = False
        # Whether what is offered was read from the database, because nobody had brought it.
        self._is_healing = False
        self._life = life or LogLife()
        self._tally = tally or Tally()

    @property
    def head(self) -> Head:
        """The ends of the log as far as this hub has followed it."""
        return Head(self.last, self.oldest_seq)

    @property
    def is_seeded(self) -> bool:
        """Whether the end of the log was read."""
        return self._was_seeded and not self._life.is_over

    @property
    def has_gap(self) -> bool:
        """Whether an event came whose predecessor did not."""
        return self.is_seeded and bool(self._early)

    def forget(self) -> None:
        """Read the end of the log anew before the next subscriber opens."""
        self._was_seeded = False
        self._kept.clear()
        self._recent.start(0)
        self._early.clear()

    def covers(self, seq: int) -> bool:
        """Tell whether all entries after a seq are kept."""
        return seq >= self._kept_from - 1

    def take(self, stretch: LogStretch) -> None:
        """Take the end of the log, or older entries than those that are kept; whoever calls it is `reading`."""
        if self.is_seeded:
            self._put_before(stretch.entries)
            return
        self.last, self.oldest_seq = stretch.head.seq, stretch.head.oldest_seq
        self._recent.start(stretch.entries[0].seq if stretch.entries else self.last + 1)
        for entry in stretch.entries:
            self._keep(entry)
        self._was_seeded = True
        self._take_early()

    def wanted_messages(self, most: int) -> WantedMessages | None:
        """Return what must be read so that the last `most` messages are there; None when they are."""
        if not self.is_seeded or not self._recent.lacks(most, self.oldest_seq):
            return None
        return WantedMessages(self._recent.from_seq, most - len(self._recent), self.last)

    def put_messages(self, wanted: WantedMessages, older: Sequence[LogEntry]) -> None:
        """Take the creations of older messages, unless it is unknown what became of them meanwhile."""
        if not self.is_seeded or self._recent.from_seq != wanted.before_seq or self._kept_from > wanted.last + 1:
            return
        # Retention may have swept some of them since they were read.
        kept = [entry for entry in older if entry.seq >= self.oldest_seq]
        self._recent.put_before(kept, is_all=len(kept) < wanted.most)
        # What was accepted while this was read may be newer than what it has read.
        for entry, _ in list(self._kept):
            if entry.seq > wanted.last and entry.kind is not EventKind.CREATED:
                self._recent.change(entry)

    def offer(self, entry: LogEntry) -> bool:
        """Take an entry; False when entries before it are missing and must be read."""
        if not self.is_seeded or entry.seq > self.last + 1:
            # A full waiting room is emptied: the gap is read from the database in any case.
            if len(self._early) >= _MOST_EARLY:
                self._early.clear()
            self._early[entry.seq] = entry
            return not self.is_seeded
        if entry.seq == self.last + 1:
            self._accept(entry)
            self._take_early()
        return True

    async def heal(self, head_seq: int) -> None:
        """Read what is missing up to `head_seq`. Raises LOG_RESET where the log does not have it."""
        async with self.reading:
            self._tally.healed += self.is_seeded and self.last < head_seq
            while self.is_seeded and self.last < head_seq:
                # Entries may be offered while this reads, and then they, too, are progress.
                before = self.last
                stretch = await self._store.after(self.room_uid, before, _READ_AT_ONCE)
                if stretch.head.oldest_seq > self.last + 1:
                    # This process stood still for longer than messages are kept.
                    raise Aborted("LOG_RESET", "events were swept before they were read: subscribe again")
                self._is_healing = True
                for entry in stretch.entries:
                    self.offer(entry)
                self._is_healing = False
                if self.last == before:
                    raise log_hole(self.room_uid, self.last, head_seq)

    def sweep(self, oldest_seq: int) -> None:
        """Forget what retention has swept: the events before `oldest_seq`, and the messages of those after it."""
        if not self.is_seeded or oldest_seq <= self.oldest_seq:
            return
        self.oldest_seq = oldest_seq
        self._recent.sweep(oldest_seq)
        entries = [entry for entry, _ in self._kept if entry.seq >= oldest_seq]
        self._kept.clear()
        for entry in entries:
            is_there = entry.message_seq >= oldest_seq
            self._kept.append(self._serialized(entry if is_there else entry.swept()))

    def entries_after(self, seq: int) -> list[KeptEntry]:
        """Return the kept entries after `seq`."""
        return [kept for kept in self._kept if kept[0].seq > seq]

    def last_entries(self, most: int) -> list[KeptEntry]:
        """Return the creations of the last messages that are not deleted."""
        return self._recent.last(most)

    def end(self, error: ChatkitError) -> None:
        """End the streams."""
        for subscription in self.subscriptions:
            subscription.end(error)

    def _accept(self, entry: LogEntry) -> None:
        self.last = entry.seq
        event = self._keep(entry)
        self._tally.taken += 1
        self._tally.delivered += len(self.subscriptions)
        live = self._tally.deliveries.begin(
            self.room_uid, self.room_id, entry, len(self.subscriptions), is_healed=self._is_healing
        )
        for subscription in self.subscriptions:
            subscription.push(entry.seq, event, live)

    @property
    def _kept_from(self) -> int:
        return self._kept[0][0].seq if self._kept else self.last + 1

    def _put_before(self, entries: Sequence[LogEntry]) -> None:
        older = [entry for entry in entries if entry.seq < self._kept_from]
        for entry in reversed(older):
            # So much may have come meanwhile that they do not join on, or that there is no place for them.
            if entry.seq != self._kept_from - 1 or len(self._kept) == self._kept.maxlen:
                return
            newest = self._newest(entry)
            self._renew(newest)
            self._recent.change(newest)
            self._kept.appendleft(self._serialized(entry.showing(newest)))

    def _keep(self, entry: LogEntry) -> bytes:
        """Keep an entry, and let everything that is kept of its message be as new as it; return its frame."""
        if entry.kind is EventKind.CREATED:
            kept = self._serialized(entry)
            self._recent.add(kept)
        else:
            newest = self._newest(entry)
            kept = self._serialized(entry.showing(newest))
            self._renew(newest)
            self._recent.change(newest)
        self._kept.append(kept)
        return kept[1]

    def _newest(self, entry: LogEntry) -> LogEntry:
        # A gap that was read late holds messages as they became after events that arrive only now.
        copies = [kept for kept, _ in self._kept if kept.message_seq == entry.message_seq and kept.message is not None]
        return max((*copies, entry), key=lambda copy: copy.revision)

    def _renew(self, newest: LogEntry) -> None:
        for index, (kept, _) in enumerate(self._kept):
            if kept.message_seq == newest.message_seq and kept.revision < newest.revision:
                self._kept[index] = self._serialized(kept.showing(newest))

    def _serialized(self, entry: LogEntry) -> KeptEntry:
        return entry, frames.log_event(self.room_id, entry)

    def _take_early(self) -> None:
        while (entry := self._early.pop(self.last + 1, None)) is not None:
            self._accept(entry)
        self._early = {seq: entry for seq, entry in self._early.items() if seq > self.last}


def log_hole(room_uid: RoomUid, last: int, head_seq: int) -> Aborted:
    """Return the error for a log that does not hold what its head says."""
    _log.error("log_has_a_hole", room_uid=str(room_uid), last=last, head_seq=head_seq)
    return Aborted("LOG_RESET", "the room's log has changed: subscribe again")
