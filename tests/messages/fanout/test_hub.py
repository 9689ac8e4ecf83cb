"""The hub's view of a log: what is missing is read, what arrives meanwhile is no hole, and nothing old is kept."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast
from uuid import uuid4

import pytest
from chatkit.messages.v1 import message_pb2
from chatkit.messages.v1 import messages_service_pb2 as pb2

from services.messages.fanout.hub import LogLife, RoomHub
from services.messages.log.store import LogStretch
from services.messages.model import EventKind, Head, LogEntry
from services.runtime.contract.errors import Aborted
from services.runtime.ids import RoomUid
from tests.messages.fanout.reading import follow, recall

_TIME = datetime(2026, 1, 1, tzinfo=UTC)


def _message(seq: int, revision: int) -> bytes:
    return message_pb2.Message(room_id="lobby", seq=seq, revision=revision).SerializeToString()


def _entry(seq: int) -> LogEntry:
    return LogEntry.created(seq, _TIME, _message(seq, seq))


def _change(seq: int, message_seq: int, kind: EventKind = EventKind.EDITED) -> LogEntry:
    return LogEntry.changed(seq, _TIME, _message(message_seq, seq), kind, message_seq)


def _as_of(entry: LogEntry, revision: int, *, is_deleted: bool = False) -> LogEntry:
    """Return an entry with its message as a later event has left it."""
    message = _message(entry.message_seq, revision)
    return replace(entry, message=message, revision=revision, is_deleted=is_deleted)


class _Store:
    """A log of entries; something may happen while it is read."""

    def __init__(self, seqs: range) -> None:
        self.seqs = seqs
        self.meanwhile: Callable[[], object] = lambda: None

    async def tail(self, _room_uid: RoomUid, _most: int) -> LogStretch:
        return LogStretch(Head(seq=2, oldest_seq=1), [_entry(1), _entry(2)])

    async def after(self, _room_uid: RoomUid, seq: int, most: int) -> LogStretch:
        self.meanwhile()
        entries = [_entry(number) for number in self.seqs if number > seq][:most]
        return LogStretch(Head(seq=self.seqs[-1], oldest_seq=1), entries)


async def _hub(store: Any) -> RoomHub:
    hub = RoomHub(RoomUid(uuid4()), "lobby", store, 256)
    await follow(hub, store)
    return hub


def _shown(kept: Sequence[tuple[LogEntry, bytes]]) -> list[tuple[int, int]]:
    """Return what frames show: the seq of each event, and the revision of its message."""
    events = [event for _, frame in kept for event in pb2.SubscribeRoomResponse.FromString(frame).events]
    return [(event.seq, getattr(event, event.WhichOneof("event") or "").revision) for event in events]


async def test_a_gap_is_read_once_and_what_came_early_joins_on() -> None:
    hub = await _hub(_Store(range(1, 6)))
    assert not hub.offer(_entry(6))
    assert hub.has_gap
    await hub.heal(5)
    assert (hub.last, hub.has_gap) == (6, False)
    assert [entry.seq for entry, _ in hub.entries_after(0)] == [1, 2, 3, 4, 5, 6]


async def test_what_is_offered_while_the_gap_is_read_is_no_hole_and_is_taken_once() -> None:
    store = _Store(range(1, 6))
    hub = await _hub(store)
    store.meanwhile = lambda: [hub.offer(_entry(seq)) for seq in range(3, 6)]
    await hub.heal(5)
    store.meanwhile = lambda: [hub.offer(_entry(seq)) for seq in range(6, 9)]
    store.seqs = range(1, 10)
    await hub.heal(9)
    assert [entry.seq for entry, _ in hub.entries_after(0)] == list(range(1, 10))


async def test_a_read_that_comes_too_late_for_all_of_it_is_no_hole() -> None:
    store = _Store(range(1, 4))
    hub = await _hub(store)
    store.meanwhile = lambda: [hub.offer(_entry(seq)) for seq in range(3, 8)]
    await hub.heal(7)
    assert hub.last == 7


async def test_a_log_that_does_not_hold_what_its_head_says_is_a_hole() -> None:
    hub = await _hub(_Store(range(1, 3)))
    with pytest.raises(Aborted):
        await hub.heal(5)


async def test_a_log_that_was_swept_past_what_a_hub_has_read_ends_its_streams() -> None:
    log = _Log(_entry(4), _entry(5), oldest_seq=4)
    hub = await _hub(_Store(range(1, 3)))
    hub._store = log  # type: ignore[assignment]
    with pytest.raises(Aborted, match="swept before they were read"):
        await hub.heal(5)


async def test_a_log_that_was_swept_up_to_where_a_hub_stands_goes_on() -> None:
    hub = await _hub(_Store(range(1, 3)))
    hub._store = _Log(_entry(3), _entry(4), oldest_seq=3)  # type: ignore[assignment]
    await hub.heal(4)
    assert [entry.seq for entry, _ in hub.entries_after(0)] == [1, 2, 3, 4]


async def test_what_comes_before_the_end_of_the_log_was_read_joins_on() -> None:
    store = _Store(range(1, 3))
    hub = RoomHub(RoomUid(uuid4()), "lobby", cast("Any", store), 256)
    assert hub.offer(_entry(3))
    assert not hub.has_gap
    await follow(hub, store)
    assert [entry.seq for entry, _ in hub.entries_after(0)] == [1, 2, 3]


async def test_what_came_too_early_is_bounded_and_read_when_it_was_too_much() -> None:
    store = _Store(range(1, 3))
    hub = await _hub(store)
    for seq in range(4, 260):
        assert not hub.offer(_entry(seq))
    assert hub.offer(_entry(3))
    assert (hub.last, hub.has_gap) == (259, False)
    for seq in range(261, 518):
        assert not hub.offer(_entry(seq))
    assert hub.offer(_entry(260))
    assert (hub.last, hub.has_gap) == (260, True)
    store.seqs = range(1, 518)
    await hub.heal(517)
    assert (hub.last, hub.has_gap) == (517, False)


async def test_messages_that_are_swept_while_they_are_recalled_are_not_kept() -> None:
    log = _Log(*(_entry(seq) for seq in range(1, 9)))
    hub = await _hub(log)
    log.meanwhile = lambda: hub.sweep(4)
    await recall(hub, log, 8)
    assert [entry.seq for entry, _ in hub.last_entries(8)] == [4, 5, 6, 7, 8]


class _Log:
    """A log as the database has it at the moment; something may happen while it is read."""

    def __init__(self, *entries: LogEntry, oldest_seq: int = 1) -> None:
        self.entries = list(entries)
        self.oldest_seq = oldest_seq
        self.meanwhile: Callable[[], object] = lambda: None
        # Which messages were asked for: so many before a seq.
        self.asked: list[tuple[int, int]] = []

    @property
    def reads(self) -> int:
        return len(self.asked)

    @property
    def head(self) -> Head:
        return Head(self.entries[-1].seq, self.oldest_seq)

    async def tail(self, _room_uid: RoomUid, _most: int) -> LogStretch:
        return LogStretch(self.head, self.entries[-3:])

    async def after(self, _room_uid: RoomUid, seq: int, most: int) -> LogStretch:
        found = [entry for entry in self.entries if entry.seq > seq][:most]
        self.meanwhile()
        return LogStretch(self.head, found)

    async def creations(self, _room_uid: RoomUid, before_seq: int, most: int) -> list[LogEntry]:
        self.asked.append((before_seq, most))
        found = [entry for entry in self.entries if entry.kind is EventKind.CREATED and entry.seq < before_seq]
        self.meanwhile()
        return [entry for entry in found if not entry.is_deleted][-most:]


async def test_what_is_kept_of_a_message_is_as_new_as_the_last_event() -> None:
    hub = await _hub(_Log(_entry(1), _entry(2)))
    hub.offer(_change(3, 1))
    hub.offer(_change(4, 1))
    assert _shown(hub.entries_after(0)) == [(1, 4), (2, 2), (3, 4), (4, 4)]
    assert _shown(hub.last_entries(9)) == [(1, 4), (2, 2)]
    hub.offer(_change(5, 1, EventKind.DELETED))
    assert _shown(hub.entries_after(0)) == [(1, 5), (2, 2), (3, 5), (4, 5), (5, 5)]
    assert _shown(hub.last_entries(9)) == [(2, 2)]


async def test_an_event_that_comes_after_a_later_state_was_read_shows_that_one() -> None:
    # The message was edited at 2 and deleted at 3, and the database was read between the two deliveries.
    deleted = _as_of(_entry(1), 3, is_deleted=True)
    hub = await _hub(_Log(deleted, _as_of(_change(2, 1), 3, is_deleted=True), _change(3, 1, EventKind.DELETED)))
    hub.offer(_entry(4))
    hub.offer(_change(5, 4))
    assert _shown(hub.entries_after(0)) == [(1, 3), (2, 3), (3, 3), (4, 5), (5, 5)]
    log = _Log(_entry(1), _entry(2))
    hub = await _hub(log)
    hub.offer(_change(4, 2))
    # Only 3 is read, and it is of the time when 5 had deleted its message already.
    log.entries += [_as_of(_change(3, 2), 5, is_deleted=True)]
    await hub.heal(3)
    assert _shown(hub.entries_after(2)) == [(3, 5), (4, 5)]


async def test_messages_before_what_is_kept_are_read_once_for_all() -> None:
    edits = [_change(seq, 9) for seq in range(10, 20)]
    log = _Log(*(_entry(seq) for seq in range(1, 10)), *edits)
    log.entries[8] = _as_of(_entry(9), 19)
    hub = await _hub(log)
    for _ in range(3):
        await recall(hub, log, 4)
        assert _shown(hub.last_entries(4)) == [(6, 6), (7, 7), (8, 8), (9, 19)]
    assert log.reads == 1
    await recall(hub, log, 100)
    await recall(hub, log, 100)
    assert [seq for seq, _ in _shown(hub.last_entries(100))] == list(range(1, 10))
    assert log.reads == 2


async def test_what_changes_while_those_are_read_is_not_overwritten_by_them() -> None:
    log = _Log(*(_entry(seq) for seq in range(1, 10)))
    hub = await _hub(log)
    log.meanwhile = lambda: [hub.offer(_change(10, 1)), hub.offer(_change(11, 2, EventKind.DELETED))]
    await recall(hub, log, 100)
    assert _shown(hub.last_entries(100)) == [(1, 10), *((seq, seq) for seq in range(3, 10))]


async def test_only_the_messages_that_are_lacking_are_read() -> None:
    log = _Log(*(_entry(seq) for seq in range(1, 10)))
    hub = await _hub(log)
    await recall(hub, log, 3)
    assert log.asked == []
    await recall(hub, log, 5)
    assert log.asked == [(7, 2)]
    assert [entry.seq for entry, _ in hub.last_entries(9)] == [5, 6, 7, 8, 9]


async def test_of_a_log_whose_end_alone_was_read_the_last_messages_are_lacking() -> None:
    log = _Log(*(_entry(seq) for seq in range(1, 4)))
    hub = RoomHub(RoomUid(uuid4()), "lobby", cast("Any", log), 256)
    async with hub.reading:
        hub.take(LogStretch(Head(3, 1), ()))
    await recall(hub, log, 2)
    assert log.asked == [(4, 2)]
    assert [entry.seq for entry, _ in hub.last_entries(9)] == [2, 3]


async def test_messages_that_were_read_before_a_hole_are_read_again_and_leave_none() -> None:
    log = _Log(*(_entry(seq) for seq in range(1, 10)))
    hub = RoomHub(RoomUid(uuid4()), "lobby", cast("Any", log), 4)
    await follow(hub, log, 3)

    def two_more() -> None:
        log.meanwhile = lambda: None
        hub.offer(_entry(10))
        hub.offer(_entry(11))

    # The oldest that was kept makes room while the one before it is read.
    log.meanwhile = two_more
    await recall(hub, log, 4)
    assert [entry.seq for entry, _ in hub.last_entries(9)] == [8, 9, 10, 11]
    hub.offer(_change(12, 9, EventKind.DELETED))
    await recall(hub, log, 4)
    assert [entry.seq for entry, _ in hub.last_entries(9)] == [7, 8, 10, 11]


@pytest.mark.parametrize(("changes", "reads"), [(3, 1), (4, 2)])
async def test_messages_are_read_again_when_it_is_unknown_what_became_of_them_meanwhile(
    changes: int, reads: int
) -> None:
    log = _Log(*(_entry(seq) for seq in range(1, 8)), _change(8, 7), _change(9, 7))
    hub = RoomHub(RoomUid(uuid4()), "lobby", cast("Any", log), 3)
    await follow(hub, log, 3)

    def so_many() -> None:
        log.meanwhile = lambda: None
        hub.offer(_change(10, 6))
        log.entries[5] = _as_of(_entry(6), 10)
        for seq in range(11, 10 + changes):
            hub.offer(_change(seq, 7))

    # Three events are kept, so that a fourth one hides what the first has changed.
    log.meanwhile = so_many
    await recall(hub, log, 3)
    assert _shown(hub.last_entries(3)) == [(5, 5), (6, 10), (7, 9 + changes)]
    assert log.reads == reads


async def test_nothing_is_read_for_a_log_whose_life_is_over() -> None:
    log, life = _Log(*(_entry(seq) for seq in range(1, 10))), LogLife()
    hub = RoomHub(RoomUid(uuid4()), "lobby", cast("Any", log), 256, life)
    await follow(hub, log, 3)
    life.is_over = True
    assert not hub.is_seeded
    await recall(hub, log, 9)
    await hub.heal(20)
    assert (log.reads, hub.last) == (0, 9)


async def test_what_was_read_of_a_later_time_is_not_overwritten_by_what_is_told_late() -> None:
    log = _Log(_as_of(_entry(1), 12), *(_entry(seq) for seq in range(2, 10)))
    hub = await _hub(log)
    log.meanwhile = lambda: hub.offer(_change(10, 1))
    await recall(hub, log, 100)
    assert _shown(hub.last_entries(100))[0] == (1, 12)


async def test_what_retention_has_swept_is_kept_no_longer() -> None:
    hub = await _hub(_Log(_entry(1), _entry(2), _entry(3)))
    hub.offer(_change(4, 1))
    hub.offer(_change(5, 3))
    hub.sweep(3)
    assert hub.head == Head(5, 3)
    events = [pb2.SubscribeRoomResponse.FromString(frame).events[0] for _, frame in hub.entries_after(0)]
    assert [(event.seq, event.WhichOneof("event")) for event in events] == [
        (3, "message_created"),
        (4, "message_gone"),
        (5, "message_edited"),
    ]
    assert events[1].message_gone.seq == 1
    assert [seq for seq, _ in _shown(hub.last_entries(9))] == [3]
    # Told late.
    hub.sweep(2)
    assert hub.head == Head(5, 3)


async def test_an_edit_that_is_told_late_shows_its_own_message_beside_one_that_was_read_newer() -> None:
    hub = await _hub(_Log(_entry(1), _entry(2)))
    # It was edited at 9, before it was read.
    hub.offer(_as_of(_entry(3), 9))
    hub.offer(_change(4, 1))
    ((_, frame),) = hub.entries_after(3)
    (event,) = pb2.SubscribeRoomResponse.FromString(frame).events
    assert (event.message_edited.seq, event.message_edited.revision) == (1, 4)
    assert _shown(hub.entries_after(2))[0] == (3, 9)


async def test_whoever_comes_after_a_log_was_forgotten_is_given_what_is_there_now() -> None:
    log = _Log(*(_entry(seq) for seq in range(1, 6)))
    hub = await _hub(log)
    hub.offer(_entry(7))
    hub.forget()
    assert not hub.is_seeded
    assert (hub.entries_after(0), hub.last_entries(9)) == ([], [])
    log.entries = [_entry(1)]
    await follow(hub, log, 100)
    assert hub.head == Head(1, 1)
    assert [seq for seq, _ in _shown(hub.entries_after(0))] == [1]
    assert [seq for seq, _ in _shown(hub.last_entries(9))] == [1]
    # What came early was of the log that is gone.
    assert not hub.has_gap


async def test_older_entries_do_not_push_newer_ones_out() -> None:
    log = _Log(*(_entry(seq) for seq in range(1, 4)))
    hub = RoomHub(RoomUid(uuid4()), "lobby", cast("Any", log), 3)
    await follow(hub, log, 3)
    for seq in range(4, 8):
        hub.offer(_entry(seq))
    async with hub.reading:
        hub.take(LogStretch(Head(7, 1), [_entry(seq) for seq in range(1, 6)]))
    assert [seq for seq, _ in _shown(hub.entries_after(0))] == [5, 6, 7]
    assert hub.covers(4)
    assert not hub.covers(3)


async def test_older_entries_that_do_not_join_on_are_not_kept() -> None:
    log = _Log(*(_entry(seq) for seq in range(6, 9)))
    hub = await _hub(log)
    async with hub.reading:
        hub.take(LogStretch(Head(8, 1), [_entry(3), _entry(4)]))
    assert [seq for seq, _ in _shown(hub.entries_after(0))] == [6, 7, 8]
    async with hub.reading:
        hub.take(LogStretch(Head(8, 1), [_entry(4), _entry(5)]))
    assert [seq for seq, _ in _shown(hub.entries_after(0))] == [4, 5, 6, 7, 8]


async def test_older_entries_that_were_read_later_show_what_is_kept_as_it_is_by_then() -> None:
    log = _Log(_entry(1), _as_of(_entry(2), 5), _entry(3), _entry(4), _change(5, 2))
    hub = await _hub(log)
    await recall(hub, log, 4)
    assert _shown(hub.last_entries(4)) == [(1, 1), (2, 5), (3, 3), (4, 4)]
    # The edit at 6 is yet to come.
    async with hub.reading:
        hub.take(LogStretch(Head(6, 1), [_entry(1), _as_of(_entry(2), 6)]))
    assert _shown(hub.entries_after(0)) == [(1, 1), (2, 6), (3, 3), (4, 4), (5, 6)]
    assert _shown(hub.last_entries(4)) == [(1, 1), (2, 6), (3, 3), (4, 4)]


class _Subscriber:
    """What a hub needs of one; it writes down what it is given."""

    def __init__(self) -> None:
        self.given: list[tuple[int, bytes]] = []
        self.errors: list[Exception] = []

    def push(self, seq: int, event: bytes, _live: object) -> None:
        self.given.append((seq, event))

    def end(self, error: Exception) -> None:
        self.errors.append(error)


async def test_every_subscriber_is_given_the_same_bytes_of_each_entry_once_in_order_and_ended() -> None:
    store = _Store(range(1, 6))
    hub = await _hub(store)
    subscribers = [_Subscriber(), _Subscriber()]
    hub.subscriptions |= cast("Any", set(subscribers))
    for seq in (5, 3, 2):
        hub.offer(_entry(seq))
    await hub.heal(5)
    frames = [(entry.seq, frame) for entry, frame in hub.entries_after(2)]
    assert [seq for seq, _ in frames] == [3, 4, 5]
    assert [one.given for one in subscribers] == [frames, frames]
    reset = Aborted("LOG_RESET", "")
    hub.end(reset)
    assert [one.errors for one in subscribers] == [[reset], [reset]]
