"""A chat that keeps every promise, in a few lines, and what its clients would have recorded of it."""

import random
from dataclasses import dataclass, field, replace

from services.stack.proof.history import (
    Arrival,
    CursorMove,
    Entry,
    Erasure,
    History,
    Kind,
    MemberChange,
    Muting,
    Outcome,
    Page,
    Presence,
    Removal,
    Standing,
    Stream,
    Write,
)

ROOM, USERS = "lobby", ("alice", "bob", "carol")


@dataclass
class _Reader:
    user_id: str
    opened: float
    after: int
    asked_after: int
    is_resumed: bool
    snapshot: list[Entry]
    arrivals: list[Arrival] = field(default_factory=list)


class Chat:
    """One room, in which things happen at random, one after the other, with answers that come later or never."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._time = 0.0
        self._log: list[Entry] = []
        self._contents: dict[int, str] = {}
        self._readers: dict[str, _Reader] = {}
        self._places: dict[str, int] = {}
        self._cursors: dict[str, int] = dict.fromkeys(USERS, 0)
        self.history = History()

    def run(self, steps: int) -> History:
        """Let so much happen, and return what was recorded."""
        sends = (self._send, self._send, self._send)
        acts = (*sends, self._edit, self._delete, self._open, self._page, self._remove, self._read, self._mute)
        for user_id in USERS:
            self.history.member_changes.append(MemberChange(ROOM, user_id, True, Outcome.ACKNOWLEDGED))
            self._open(user_id)
        for _ in range(steps):
            self._chance.choice(acts)(self._chance.choice(USERS))
        for user_id in list(self._readers):
            self._close(user_id)
        self._end()
        return self.history

    def _end(self) -> None:
        history, there = self.history, {seq: content for seq, content in self._contents.items() if content}
        history.logs[ROOM] = [self._shown(entry) for entry in self._log]
        history.members[ROOM] = frozenset(USERS)
        history.erasures.append(Erasure("the user dave", ("what dave said",), 0.0))
        last = max(there, default=0)
        for user_id, cursor in self._cursors.items():
            unread = sum(seq > cursor for seq in there)
            shown = (cursor, unread, last, there.get(last, ""))
            history.standings.append(Standing(ROOM, user_id, "ListReadStates", *shown))
            history.presences.append(Presence(user_id, "alice", True, True))

    def _now(self) -> float:
        self._time += self._chance.random()
        return self._time

    def _shown(self, entry: Entry) -> Entry:
        return entry if entry.kind is Kind.DELETE else replace(entry, content=self._contents[entry.message_seq])

    def _send(self, user_id: str) -> None:
        self._write(user_id, Kind.SEND, len(self._log) + 1)

    def _edit(self, user_id: str) -> None:
        if there := [seq for seq, content in self._contents.items() if content]:
            self._write(user_id, Kind.EDIT, self._chance.choice(there))

    def _delete(self, user_id: str) -> None:
        if there := [seq for seq, content in self._contents.items() if content]:
            self._write(user_id, Kind.DELETE, self._chance.choice(there))

    def _read(self, user_id: str) -> None:
        seq, outcome = (
            self._chance.randrange(len(self._log) + 1),
            self._chance.choice((Outcome.ACKNOWLEDGED, Outcome.UNKNOWN)),
        )
        self.history.cursor_moves.append(CursorMove(ROOM, user_id, seq, outcome, self._now()))
        if outcome is Outcome.ACKNOWLEDGED or self._chance.random() < 0.5:
            self._cursors[user_id] = max(self._cursors[user_id], seq)

    def _mute(self, user_id: str) -> None:
        """Take somebody the right to write for a while in which they try in vain."""
        began = self._now()
        tried = (self._now(), self._now(), Outcome.REFUSED)
        content = f"send {len(self.history.writes)}"
        self.history.writes.append(Write(ROOM, user_id, Kind.SEND, content, *tried))
        self.history.mutings.append(Muting(user_id, began, self._now()))

    def _write(self, user_id: str, kind: Kind, message_seq: int) -> None:
        outcome = self._chance.choices(list(Outcome), (8, 1, 2))[0]
        content = "" if kind is Kind.DELETE else f"{kind} {len(self.history.writes)}"
        began, seq = self._now(), 0
        # What was refused did not happen, and of what got no answer half did.
        if outcome is Outcome.ACKNOWLEDGED or (outcome is Outcome.UNKNOWN and self._chance.random() < 0.5):
            seq = len(self._log) + 1
            self._log.append(Entry(seq, kind, message_seq, content))
            self._contents[message_seq] = content
            at = self._now()
            for reader in self._readers.values():
                reader.arrivals.append(Arrival(self._shown(self._log[-1]), at))
        is_told = outcome is Outcome.ACKNOWLEDGED
        self.history.writes.append(
            Write(
                *(ROOM, user_id, kind, content, began, self._now(), outcome),
                seq=seq if is_told else 0,
                message_seq=message_seq if is_told or kind is not Kind.SEND else 0,
            )
        )

    def _open(self, user_id: str) -> None:
        self._close(user_id)
        asked, opened = self._places.get(user_id, 0), self._now()
        if asked and self._chance.random() < 0.7:
            missed = [Arrival(self._shown(entry), self._now()) for entry in self._log[asked:]]
            self._readers[user_id] = _Reader(user_id, opened, asked, asked, True, [], missed)
        else:
            newest = [self._shown(entry) for entry in self._log if entry.kind is Kind.SEND][-5:]
            self._readers[user_id] = _Reader(user_id, opened, len(self._log), asked, False, newest)

    def _close(self, user_id: str) -> None:
        reader = self._readers.pop(user_id, None)
        if reader is not None:
            # Some of what was on its way is not read any more.
            if reader.arrivals and self._chance.random() < 0.3:
                reader.arrivals.pop()
            self._places[user_id] = reader.arrivals[-1].entry.seq if reader.arrivals else reader.after
            self.history.streams.append(Stream(ROOM, **vars(reader)))

    def _page(self, user_id: str) -> None:
        began, last = self._now(), len(self._log)
        messages = [self._shown(entry) for entry in self._log if entry.kind is Kind.SEND]
        # Pages leave out what was deleted.
        messages = [message for message in messages if message.content]
        self.history.pages.append(Page(ROOM, user_id, began, self._now(), 1, last, messages))

    def _remove(self, user_id: str) -> None:
        self._close(user_id)
        ended = self._now()
        self._open(user_id)
        self.history.removals.append(Removal(ROOM, user_id, ended, until=self._readers[user_id].opened))
