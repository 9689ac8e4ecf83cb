"""The hub's view of a log: what is missing is read, and what arrives meanwhile is no hole."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
from chatkit.messages.v1 import message_pb2

from services.messages.hub import RoomHub
from services.messages.model import Head, LogEntry
from services.messages.store import Tail
from services.runtime.errors import Aborted


def _entry(seq: int) -> LogEntry:
    message = message_pb2.Message(room_id="lobby", seq=seq).SerializeToString()
    return LogEntry(seq, datetime(2026, 1, 1, tzinfo=UTC), message)


class _Store:
    """A log of entries; something may happen while it is read."""

    def __init__(self, seqs: range) -> None:
        self.seqs = seqs
        self.meanwhile: Callable[[], object] = lambda: None

    async def tail(self, _room_uid: UUID, _most: int) -> Tail:
        return Tail(Head(seq=2, oldest_seq=1), [_entry(1), _entry(2)])

    async def after(self, _room_uid: UUID, seq: int, most: int) -> list[LogEntry]:
        self.meanwhile()
        return [_entry(number) for number in self.seqs if number > seq][:most]


async def _hub(store: _Store) -> RoomHub:
    hub = RoomHub(uuid4(), "lobby", cast("Any", store), 256)
    await hub.follow(100)
    return hub


async def test_a_gap_is_read_once_and_what_came_early_joins_on() -> None:
    hub = await _hub(_Store(range(1, 6)))
    assert not hub.offer(_entry(6))
    await hub.heal(5)
    assert hub.last == 6
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
