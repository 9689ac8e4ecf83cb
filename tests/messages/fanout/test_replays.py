"""How streams start: few pages are read at once, in the order in which they were asked for, and nothing twice."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

from chatkit.messages.v1 import message_pb2

from services.messages.fanout.hub import RoomHub
from services.messages.fanout.replays import Replays, pages
from services.messages.log.store import LogStretch
from services.messages.log.tails import TailRequest
from services.messages.model import EventKind, Head, LogEntry, Position, Start, room_epoch
from services.runtime.ids import RoomUid
from tests.support.clock import ManualClock

_EPOCH = uuid4()
_TIME = datetime(2026, 1, 1, tzinfo=UTC)


def _entry(seq: int) -> LogEntry:
    return LogEntry.created(seq, _TIME, message_pb2.Message(seq=seq).SerializeToString())


def _edit(seq: int) -> LogEntry:
    message = message_pb2.Message(seq=1, revision=seq).SerializeToString()
    return LogEntry.changed(seq, _TIME, message, EventKind.EDITED, 1)


class _Store:
    """Logs of so many messages, or of these events; reads may be held up."""

    def __init__(self, length: int = 0, log: Sequence[LogEntry] = ()) -> None:
        self._log = log
        self.length = len(log) or length
        # How many messages were asked for.
        self.recalled: list[int] = []
        self.asked: list[Sequence[TailRequest]] = []
        self.gates: list[asyncio.Event] = []
        self.is_gated = False

    async def tails(self, asked: Sequence[TailRequest]) -> dict[UUID, LogStretch]:
        self.asked.append(asked)
        if self.is_gated:
            gate = asyncio.Event()
            self.gates.append(gate)
            await gate.wait()
        return {ask.room_uid: LogStretch(Head(self.length, 1), self._last(ask)) for ask in asked}

    def _last(self, ask: TailRequest) -> list[LogEntry]:
        log = self._log or [_entry(seq) for seq in range(1, self.length + 1)]
        return [entry for entry in log if entry.seq > ask.seq][-ask.most :] if ask.most else []

    async def messages(self, asked: Sequence[TailRequest]) -> dict[UUID, list[LogEntry]]:
        self.recalled += [ask.most for ask in asked]
        return {ask.room_uid: [_entry(seq) for seq in range(1, min(ask.seq, 101))][-ask.most :] for ask in asked}


def _replays(store: _Store) -> Replays:
    return Replays(
        cast("Any", store), cast("Any", None), cast("Any", SimpleNamespace(value=_EPOCH)), ManualClock(), most=100
    )


def _hub(name: str = "room") -> RoomHub:
    return RoomHub(RoomUid(uuid4()), name, cast("Any", None), 256)


def _after(hub: RoomHub, seq: int) -> Start:
    return Start(Position(room_epoch(_EPOCH, hub.room_uid), seq), 20)


def _seqs(replays: Replays, hub: RoomHub, start: Start) -> list[int]:
    return [seq for seq, _ in replays.beginning(hub, start, _TIME).events if seq]


async def test_four_pages_are_read_at_once_and_a_device_with_many_waits_behind_those_who_came_meanwhile() -> None:
    store = _Store()
    store.is_gated = True
    replays = _replays(store)
    order: list[str] = []

    async def open_pages(who: str, count: int) -> None:
        for number in range(count):
            hub = _hub(who)
            await replays.read_page([(hub, Start(None, 0))])
            order.append(f"{who} {number}")

    opening = [asyncio.create_task(open_pages("many", 3))]
    opening += [asyncio.create_task(open_pages(f"few {number}", 1)) for number in range(6)]
    for page in range(9):
        await _settle()
        assert page < len(store.gates) <= page + 4
        store.gates[page].set()
    await asyncio.gather(*opening)
    # The second page of many rooms comes after those that were asked for before it.
    assert order == ["many 0", *(f"few {number} 0" for number in range(6)), "many 1", "many 2"]


async def test_an_idle_room_is_opened_without_reading_its_messages() -> None:
    store = _Store(length=1_000)
    replays, hub = _replays(store), _hub()
    start = _after(hub, 1_000)
    await replays.read_page([(hub, start)])
    assert _seqs(replays, hub, start) == []
    assert hub.entries_after(0) == []


async def test_who_resumes_farther_back_than_was_read_gets_all_of_it_and_it_is_read_once() -> None:
    store = _Store(length=200)
    replays, hub = _replays(store), _hub()
    for after, reads in ((200, 1), (190, 2), (188, 2), (150, 3), (101, 4), (100, 4), (180, 4)):
        start = _after(hub, after)
        await replays.read_page([(hub, start)])
        assert _seqs(replays, hub, start) == list(range(after + 1, 201))
        assert len(store.asked) == reads


async def test_what_came_while_older_events_were_read_leaves_no_hole() -> None:
    store = _Store(length=200)
    replays, hub = _replays(store), _hub()
    await replays.read_page([(hub, _after(hub, 200))])
    start = _after(hub, 101)
    store.is_gated = True
    reading = asyncio.create_task(replays.read_page([(hub, start)]))
    await _settle()
    for seq in range(201, 461):
        hub.offer(_entry(seq))
    store.gates[0].set()
    await reading
    # It is too far by now, and never a silent part.
    events = replays.beginning(hub, start, _TIME).events
    assert [seq for seq, _ in events if seq] == list(range(441, 461))
    fewer = _after(hub, 400)
    assert _seqs(replays, hub, fewer) == list(range(401, 461))


async def test_a_log_that_went_on_elsewhere_is_not_resumed_with_a_hole() -> None:
    store = _Store(length=100)
    replays, hub = _replays(store), _hub()
    await replays.read_page([(hub, _after(hub, 100))])
    # Another process has appended, and this one has not heard of it yet.
    store.length = 130
    start = _after(hub, 10)
    await replays.read_page([(hub, start)])
    seqs = _seqs(replays, hub, start)
    assert seqs == list(range(seqs[0], 101))
    assert len(seqs) in {20, 90}


async def test_who_resumes_waits_for_no_messages_of_a_snapshot() -> None:
    store = _Store(log=[*(_entry(seq) for seq in range(1, 101)), *(_edit(seq) for seq in range(101, 201))])
    replays, hub = _replays(store), _hub()
    await replays.read_page([(hub, _after(hub, 101))])
    assert (_seqs(replays, hub, _after(hub, 101)), store.recalled) == (list(range(102, 201)), [])
    await replays.read_page([(hub, _after(hub, 99))])
    assert (_seqs(replays, hub, _after(hub, 99)), store.recalled) == (list(range(81, 101)), [20])


def test_pages_are_bounded_by_rooms_and_by_what_they_start_with() -> None:
    few, many = Start(None, 0), Start(None, 100)
    assert [len(page) for page in pages([("r", few)] * 120)] == [50, 50, 20]
    assert [len(page) for page in pages([("r", many)] * 25)] == [10, 10, 5]
    # Whoever comes back has missed little, however much there would be otherwise.
    assert [len(page) for page in pages([("r", Start(Position("epoch", 7), 100))] * 60)] == [50, 10]
    assert list(pages([])) == []


async def _settle() -> None:
    for _ in range(50):
        await asyncio.sleep(0)
