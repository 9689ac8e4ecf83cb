"""A room's last messages, compared with a list of all of them, whatever happens to these."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.messages.fanout.recent_messages import KeptEntry, RecentMessages
from services.messages.model import EventKind, LogEntry

_TIME = datetime(2026, 1, 1, tzinfo=UTC)
_MOST = 4


def _entry(seq: int) -> LogEntry:
    return LogEntry.created(seq, _TIME, b"as it was")


def _kept(entry: LogEntry) -> KeptEntry:
    return entry, f"{entry.seq} as of {entry.revision}".encode()


def _seqs(recent: RecentMessages, most: int = 100) -> list[int]:
    return [entry.seq for entry, _ in recent.last(most)]


def test_above_the_bound_the_oldest_goes_and_is_lacking_from_then_on() -> None:
    recent = RecentMessages(_MOST, _kept)
    recent.start(1)
    for seq in range(1, _MOST + 1):
        recent.add(_kept(_entry(seq)))
    assert (_seqs(recent), recent.from_seq, recent.lacks(_MOST + 1, 1)) == ([1, 2, 3, 4], 1, False)
    recent.add(_kept(_entry(6)))
    assert (_seqs(recent), recent.from_seq) == ([2, 3, 4, 6], 2)
    assert not recent.lacks(_MOST, 1)
    assert recent.lacks(_MOST + 1, 1)
    # All that there are, since retention has swept the one before.
    assert not recent.lacks(_MOST + 1, 2)


def test_what_was_read_goes_before_what_is_kept() -> None:
    recent = RecentMessages(_MOST, _kept)
    recent.start(7)
    recent.add(_kept(_entry(7)))
    recent.put_before([_entry(3), _entry(5)], is_all=False)
    assert (_seqs(recent), recent.from_seq, recent.lacks(4, 1)) == ([3, 5, 7], 3, True)
    recent.put_before([_entry(1)], is_all=True)
    assert (_seqs(recent), recent.from_seq, recent.lacks(100, 1)) == ([1, 3, 5, 7], 0, False)
    recent.put_before([], is_all=True)
    assert _seqs(recent, 2) == [5, 7]


def test_only_what_is_newer_changes_a_message() -> None:
    recent = RecentMessages(_MOST, _kept)
    recent.start(1)
    recent.add(_kept(_entry(1)))
    for seq in (5, 4, 5):
        recent.change(LogEntry.changed(seq, _TIME, b"edited", EventKind.EDITED, 1))
    assert [frame for _, frame in recent.last(9)] == [b"1 as of 5"]
    recent.change(replace(LogEntry.changed(6, _TIME, b"", EventKind.EDITED, 1), message=None))
    assert _seqs(recent) == []


def test_a_log_that_is_read_anew_begins_without_what_was_kept() -> None:
    recent = RecentMessages(_MOST, _kept)
    recent.start(1)
    recent.add(_kept(_entry(1)))
    recent.start(5)
    assert (_seqs(recent), recent.from_seq) == ([], 5)


@dataclass
class _Message:
    seq: int
    revision: int
    is_deleted: bool = False

    def entry(self) -> LogEntry:
        return replace(_entry(self.seq), revision=self.revision, is_deleted=self.is_deleted)


class _Machine(RuleBasedStateMachine):
    """Whatever is kept is what the log says, and what is lacking is said to be."""

    def __init__(self) -> None:
        super().__init__()
        self.recent = RecentMessages(_MOST, _kept)
        self.log = [_Message(1, 1), _Message(2, 2)]
        self.head = 2
        self.oldest_seq = 1
        # The end of the log was read, and no more than that.
        self.recent.start(3)

    def there(self) -> list[_Message]:
        return [message for message in self.log if not message.is_deleted and message.seq >= self.oldest_seq]

    @rule(is_deleted_by_now=st.booleans())
    def send(self, is_deleted_by_now: bool) -> None:
        self.head += 1
        message = _Message(self.head, self.head)
        if is_deleted_by_now:
            self.head += 1
            message.revision, message.is_deleted = self.head, True
        self.log.append(message)
        self.recent.add(_kept(message.entry()))

    @rule(which=st.integers(0), deletes=st.booleans(), is_told_twice=st.booleans())
    def change(self, which: int, deletes: bool, is_told_twice: bool) -> None:
        message = self.log[which % len(self.log)]
        self.head += 1
        message.revision, message.is_deleted = self.head, message.is_deleted or deletes
        kind = EventKind.DELETED if message.is_deleted else EventKind.EDITED
        for _ in range(1 + is_told_twice):
            self.recent.change(LogEntry.changed(self.head, _TIME, b"changed", kind, message.seq))

    @precondition(lambda self: self.recent.lacks(_MOST, self.oldest_seq))
    @rule()
    def recall(self) -> None:
        most = _MOST - len(self.recent)
        older = [message.entry() for message in self.there() if message.seq < self.recent.from_seq][-most:]
        self.recent.put_before(older, is_all=len(older) < most)

    @rule(by=st.integers(1, 3))
    def sweep(self, by: int) -> None:
        self.oldest_seq = min(self.oldest_seq + by, self.head + 1)
        self.recent.sweep(self.oldest_seq)

    @invariant()
    def what_is_kept_is_what_there_is(self) -> None:
        there = self.there()
        assert len(self.recent) <= _MOST
        for most in range(_MOST + 1):
            if not self.recent.lacks(most, self.oldest_seq):
                expected = [(message.seq, message.revision) for message in there[max(0, len(there) - most) :]]
                assert [(entry.seq, entry.revision) for entry, _ in self.recent.last(most)] == expected
        seen = {message.seq: message.revision for message in there}
        assert all(seen[entry.seq] == entry.revision for entry, _ in self.recent.last(_MOST))


TestLastMessages = _Machine.TestCase
TestLastMessages.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)
