"""Two replicas of messages on one database, joined by the bus: each event once and in order, whatever the bus does."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import grpc
import pytest
from chatkit.messages.v1 import messages_service_pb2 as pb2
from chatkit.messages.v1.messages_service_pb2_grpc import MessagesServiceStub
from hypothesis import given, settings
from hypothesis import strategies as st

from services.messages import frames
from services.messages.fanout.hubs import Hubs
from services.messages.fanout.log_bus import Announcements
from services.messages.log.store import LogStretch
from services.messages.model import EventKind, Head, LogEntry
from services.runtime.bus.port import MOST_PAYLOAD_BYTES, Listener
from services.runtime.clock import SystemClock
from services.runtime.ids import RoomId, RoomUid, UserId
from tests.messages.chat import Reader, text
from tests.messages.fanout.reading import follow
from tests.support.clock import ManualClock
from tests.support.databases import TestDatabase
from tests.support.eventually import HANG_SECONDS, eventually
from tests.support.nats import Nats
from tests.support.nats import running as running_nats
from tests.support.peers import Peers, serve
from tests.support.suite import running
from tests.support.tokens import user

_NEVER_SECONDS = 3_600.0


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[Nats]:
    """Run NATS."""
    with running_nats(tmp_path) as server:
        yield server


class _Replica:
    """One of two processes."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.aio.insecure_channel(address, options=(("grpc.use_local_subchannel_pool", 1),))
        self._stub = MessagesServiceStub(self._channel)

    async def send(self, *contents: str, request_id: str = "") -> list[int]:
        """Send at once, one with a request id that is given; return the seqs."""
        sends = (text(one, request_id or uuid4().hex) for one in contents)
        calls = (self._stub.SendMessage(send, metadata=user("alice")) for send in sends)
        return [int(answer.message.seq) for answer in await asyncio.gather(*calls)]

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Reader]:
        """Subscribe while the context is open."""
        call = self._stub.SubscribeRoom(pb2.SubscribeRoomRequest(room_id="lobby", last=0), metadata=user("bob"))
        reader = Reader(call)
        await reader.until("caught_up")
        yield reader
        call.cancel()

    async def close(self) -> None:
        await self._channel.close(None)


@asynccontextmanager
async def _replicas(
    database: TestDatabase, folder: Path, nats: Nats, *, poll_seconds: float = _NEVER_SECONDS
) -> AsyncIterator[tuple[_Replica, _Replica]]:
    peers = Peers(members={"lobby": {"alice", "bob"}}, users={"alice", "bob"})
    async with serve(peers):
        told: dict[str, Any] = {
            "rooms_address": peers.address,
            "users_address": peers.address,
            "nats": nats,
            "heads_poll_interval_seconds": poll_seconds,
        }
        async with running(database, folder, **told) as suite:
            replicas = [_Replica((await suite.start("messages")).address) for _ in range(2)]
            first, second = replicas
            # Each hears of entries, of cursors, of typing, of commands and of spans.
            await eventually(lambda: nats.subscriptions() == 2 * 5)
            yield first, second
            for replica in replicas:
                await replica.close()


async def test_what_one_appends_reaches_the_other_without_a_look_at_the_database(
    database: TestDatabase, tmp_path: Path, nats: Nats
) -> None:
    async with _replicas(database, tmp_path, nats) as (first, second), first.reading() as reader:
        for n in range(20):
            await second.send(str(n))
        assert await reader.until_seq(20) == list(range(1, 21))
        await second.send(*(f"at once {n}" for n in range(200)))
        assert await reader.until_seq(220) == list(range(21, 221))


async def test_what_another_has_appended_is_shown_with_its_request_id(
    database: TestDatabase, tmp_path: Path, nats: Nats
) -> None:
    async with _replicas(database, tmp_path, nats) as (first, second), first.reading() as reader:
        await second.send("hello", request_id="alice's own")
        assert (await reader.next()).message_created.request_id == "alice's own"


async def test_two_that_write_to_one_room_give_each_event_once_and_in_order(
    database: TestDatabase, tmp_path: Path, nats: Nats
) -> None:
    async with (
        _replicas(database, tmp_path, nats) as (first, second),
        first.reading() as here,
        second.reading() as there,
    ):
        for burst in range(10):
            await asyncio.gather(
                first.send(*(f"first {burst} {n}" for n in range(15))),
                second.send(*(f"second {burst} {n}" for n in range(15))),
            )
        expected = list(range(1, 301))
        assert await here.until_seq(300) == await there.until_seq(300) == expected


async def test_without_nats_it_arrives_by_a_look_at_the_database(
    database: TestDatabase, tmp_path: Path, nats: Nats
) -> None:
    replicas = _replicas(database, tmp_path, nats, poll_seconds=0.1)
    async with replicas as (first, second), first.reading() as reader:
        nats.kill()
        await second.send("1", "2", "3")
        assert await reader.until_seq(3) == [1, 2, 3]


async def test_nats_that_is_paused_holds_up_no_send(database: TestDatabase, tmp_path: Path, nats: Nats) -> None:
    async with _replicas(database, tmp_path, nats) as (first, second), first.reading() as reader:
        with nats.paused():
            async with asyncio.timeout(HANG_SECONDS):
                assert len(await second.send(*(["x" * 1_000] * 500))) == 500
        assert await reader.until_seq(500) == list(range(1, 501))


async def test_what_was_sent_while_nats_was_away_arrives_when_it_comes_back(
    database: TestDatabase, tmp_path: Path, nats: Nats
) -> None:
    async with _replicas(database, tmp_path, nats) as (first, second), first.reading() as reader:
        nats.kill()
        await second.send("1", "2", "3")
        nats.start()
        assert await reader.until_seq(3) == [1, 2, 3]


# What a bus may do with what it is given: nothing, once now, twice, or later.
_Fate = str
_FATES = st.lists(st.sampled_from(["lost", "once", "twice", "later", "later twice"]), max_size=60)


class _WildBus:
    """A bus that drops, doubles and reorders as it is told, and else delivers at once."""

    def __init__(self, fates: Iterator[_Fate]) -> None:
        self.peers: list[_WildBus] = []
        self.listener: Listener | None = None
        self._fates = fates
        self._late: list[tuple[bytes, bytes]] = []

    async def subscribe(self, _subject: str, listener: Listener) -> None:
        self.listener = listener

    async def run(self) -> None:
        """There is nothing to do."""

    def publish(self, _subject: str, key: bytes, payload: bytes = b"") -> None:
        fate = next(self._fates, "once")
        if "later" in fate:
            self._late += [(key, payload)] * (2 if "twice" in fate else 1)
        else:
            self._deliver([(key, payload)] * {"lost": 0, "once": 1, "twice": 2}[fate])
            late, self._late = self._late[:], self._late[8:]
            self._deliver(reversed(late[:8]))

    def _deliver(self, announcements: Any) -> None:
        for key, payload in announcements:
            for peer in self.peers:
                if peer.listener is not None:
                    peer.listener.received(key, payload if len(payload) <= MOST_PAYLOAD_BYTES else b"")


class _Log:
    """The database: one room's log, and how often it was asked."""

    def __init__(self) -> None:
        self.entries: list[LogEntry] = []
        self.looks = 0

    def append(self, size: int = 1) -> LogEntry:
        entry = LogEntry.created(len(self.entries) + 1, datetime(2026, 1, 1, tzinfo=UTC), b"x" * size)
        self.entries.append(entry)
        return self.entries[-1]

    @property
    def head(self) -> Head:
        return Head(len(self.entries), 1)

    async def tail(self, _room_uid: RoomUid, most: int) -> LogStretch:
        return LogStretch(self.head, self.entries[-most:])

    async def after(self, _room_uid: RoomUid, seq: int, most: int) -> LogStretch:
        return LogStretch(self.head, self.entries[seq:][:most])

    async def moved_heads(self, known: list[tuple[UUID, Head]]) -> dict[UUID, Head]:
        self.looks += 1
        return {room_uid: self.head for room_uid, head in known if head != self.head}


class _Subscriber:
    """What a hub needs of a subscription; it writes down what it is given."""

    def __init__(self, room_uid: RoomUid) -> None:
        self.room_uid = room_uid
        self.is_open = False
        self.from_seq = 0
        self.seqs: list[int] = []

    def push(self, seq: int, _event: bytes, _live: object) -> None:
        if seq and self.is_open:
            self.seqs.append(seq)


class _Process:
    """A replica's hubs, and its part of the bus."""

    def __init__(self, log: _Log, clock: ManualClock, bus: _WildBus, epoch: UUID, room_uid: RoomUid) -> None:
        self.log = log
        self.hubs = Hubs(
            cast("Any", log),
            clock,
            heads_interval=2,
            heartbeat_interval=15,
            most_replayed=100,
            on_loss=lambda: asyncio.sleep(0),
        )
        self.bus = bus
        self.announcements = Announcements(self.hubs, cast("Any", SimpleNamespace(value=epoch)), bus, "log", "spans")
        self._room_uid = room_uid
        self.subscribers: list[_Subscriber] = []

    async def subscribe(self) -> None:
        subscriber = _Subscriber(self._room_uid)
        hub = self.hubs.join("lobby", cast("Any", subscriber))
        await follow(hub, self.log)
        subscriber.is_open, subscriber.from_seq = True, hub.last
        self.subscribers.append(subscriber)

    def append(self, size: int) -> None:
        self.announcements.appended(self._room_uid, self.log.append(size))


@asynccontextmanager
async def _two(fates: Iterator[_Fate], epochs: tuple[UUID, UUID]) -> AsyncIterator[tuple[list[_Process], ManualClock]]:
    log, clock, room_uid = _Log(), ManualClock(), RoomUid(uuid4())
    buses = [_WildBus(fates), _WildBus(fates)]
    buses[0].peers, buses[1].peers = [buses[1]], [buses[0]]
    processes = [_Process(log, clock, bus, epoch, room_uid) for bus, epoch in zip(buses, epochs, strict=True)]
    for process in processes:
        await process.announcements.listen()
    tasks = [asyncio.create_task(process.hubs.run()) for process in processes]
    try:
        await clock.advance(0)
        yield processes, clock
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


_Step = tuple[int, str]
_STEPS = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from(["append", "append", "append", "large", "subscribe", "rest"])),
    max_size=60,
)


@settings(max_examples=200)
@given(steps=_STEPS, fates=_FATES)
def test_a_bus_that_drops_doubles_and_reorders_changes_nothing_for_subscribers(
    steps: list[_Step], fates: list[_Fate]
) -> None:
    asyncio.run(_play(steps, fates))


async def _play(steps: list[_Step], fates: list[_Fate]) -> None:
    epoch = uuid4()
    async with _two(iter(fates), (epoch, epoch)) as (processes, clock):
        for process in processes:
            await process.subscribe()
        for number, what in steps:
            process = processes[number]
            if what == "subscribe":
                await process.subscribe()
            elif what == "rest":
                await clock.advance(0.01)
            else:
                process.append(MOST_PAYLOAD_BYTES if what == "large" else 1)
        # One look at the heads heals whatever is missing.
        await clock.advance(3)
        last = len(processes[0].log.entries)
        for subscriber in [one for process in processes for one in process.subscribers]:
            assert subscriber.seqs == list(range(subscriber.from_seq + 1, last + 1))


async def test_a_whole_bus_makes_looks_at_the_database_unnecessary() -> None:
    epoch = uuid4()
    async with _two(iter(()), (epoch, epoch)) as (processes, clock):
        for process in processes:
            await process.subscribe()
        bus = processes[0].bus
        bus._fates = iter(["once", "later", "later"])
        for _ in range(3):
            processes[0].append(1)
        second, third = bus._late
        bus._deliver([third])
        await clock.advance(0.001)
        bus._deliver([second])
        await clock.advance(1)
        assert [process.subscribers[0].seqs for process in processes] == [[1, 2, 3], [1, 2, 3]]
        assert processes[0].log.looks == 0


async def test_what_got_lost_before_something_that_arrived_is_read_within_moments() -> None:
    epoch = uuid4()
    async with _two(iter(["lost"]), (epoch, epoch)) as (processes, clock):
        await processes[1].subscribe()
        processes[0].append(1)
        processes[0].append(1)
        await clock.advance(0)
        await clock.advance(0.01)
        assert processes[1].subscribers[0].seqs == [1, 2]


async def test_when_the_bus_has_missed_something_every_head_is_looked_at() -> None:
    epoch = uuid4()
    async with _two(iter(["lost"]), (epoch, epoch)) as (processes, clock):
        await processes[1].subscribe()
        processes[0].append(1)
        processes[1].announcements.missed()
        await clock.advance(0.01)
        assert processes[1].subscribers[0].seqs == [1]


async def test_an_entry_of_another_life_of_the_database_is_not_taken_and_the_head_is_looked_at() -> None:
    async with _two(iter(()), (uuid4(), uuid4())) as (processes, clock):
        await processes[1].subscribe()
        ghost = LogEntry.created(1, datetime(2026, 1, 1, tzinfo=UTC), b"ghost")
        processes[0].announcements.appended(processes[1]._room_uid, ghost)
        await clock.advance(0.01)
        assert (processes[1].subscribers[0].seqs, processes[1].log.looks) == ([], 1)


async def test_a_commit_of_unknown_outcome_is_looked_for_everywhere() -> None:
    epoch = uuid4()
    async with _two(iter(()), (epoch, epoch)) as (processes, clock):
        await processes[1].subscribe()
        processes[0].log.append()
        processes[0].announcements.unknown(processes[1]._room_uid)
        await clock.advance(0.01)
        assert processes[1].subscribers[0].seqs == [1]


def _entries() -> list[LogEntry]:
    """Return one of each kind."""
    now = SystemClock().now()
    message = frames.placed_message(frames.unplaced_message(RoomId("lobby"), UserId("alice"), []), 7, now)
    edited = frames.edited_message(message, b"", None, 8, now)
    deleted = frames.deleted_message("lobby", 7, 9, now)
    return [
        LogEntry.created(7, now, message),
        LogEntry.changed(8, now, edited, EventKind.EDITED, 7),
        LogEntry.changed(9, now, deleted, EventKind.DELETED, 7),
    ]


@pytest.mark.parametrize("entry", _entries(), ids=lambda entry: entry.kind.name)
async def test_an_entry_is_the_same_after_its_way_over_the_bus(entry: LogEntry) -> None:
    taken: list[LogEntry] = []
    tally = SimpleNamespace(deliveries=None)
    hubs = (
        SimpleNamespace(offer=lambda _room, _entry: None, tally=tally),
        SimpleNamespace(wants=lambda _room, _seq: True, offer=lambda _room, entry: taken.append(entry), tally=tally),
    )
    buses = [_WildBus(iter(())), _WildBus(iter(()))]
    buses[0].peers = [buses[1]]
    epoch = cast("Any", SimpleNamespace(value=uuid4()))
    sides = [Announcements(cast("Any", own), epoch, bus, "log", "spans") for own, bus in zip(hubs, buses, strict=True)]
    await sides[1].listen()
    sides[0].appended(RoomUid(uuid4()), entry)
    assert taken == [entry]
    with pytest.raises(ValueError, match="the key is not one"):
        sides[1].received(b"short", b"")
