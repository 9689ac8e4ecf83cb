"""The promise of the log while it is swept: what is left is dense, and whoever reads it ends with what it says."""

import asyncio
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, cast

import psycopg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatkit_client import Gap, connect
from chatkit_client.proto.messages.v1 import messages_service_pb2 as pb2
from chatkit_client.proto.messages.v1 import room_event_pb2
from services.messages.retention.sweeper import Sweeper
from services.runtime.contract.errors import Unavailable
from tests.messages.log.two_replicas import (
    Reader,
    Run,
    Shuffle,
    Step,
    at_once,
    folded,
    pages,
    steps,
    suppress_not_found,
)
from tests.messages.retention.sweeping import Rooms, grow_old, oldest_seq, sweeper
from tests.support.databases import TestDatabase
from tests.support.eventually import HANG_SECONDS
from tests.support.nats import running as running_nats
from tests.support.peers import Peers, room_uid_of, serve
from tests.support.suite import running
from tests.support.tokens import token

_CUT_SWEEPERS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND query LIKE '%messages.heads%' AND application_name = 'chatkit'
"""
_SWEEPING = st.one_of(
    st.tuples(st.just("age"), st.integers(1, 4)),
    st.tuples(st.just("sweep"), st.integers(0, 1)),
    st.tuples(st.just("cut_sweepers")),
)
_BURSTS = st.lists(st.lists(st.one_of(steps, _SWEEPING), min_size=1, max_size=8), min_size=1, max_size=6)
_RESUMED = 5


@dataclass
class SweptReader(Reader):
    """A client that reads the room anew where it was swept faster than it reads; else it folds what comes."""

    oldest_seq: int = 0

    async def _follow(self, subscription: Any) -> None:
        async for event in subscription:
            if isinstance(event, Gap):
                # After a gap by retention alone comes all that the log still has.
                if event.reason != "RETENTION":
                    assert event.reason == "TOO_FAR"
                    self.messages.clear()
                    self.seen.clear()
                    await self.read_pages(newer=True, from_seq=0)
                continue
            if event.seq:
                self.seqs.append(event.seq)
            if event.HasField("opened"):
                self.oldest_seq = event.opened.oldest_seq
            self.messages.see(event)
            self.seen.append(event)
            self._moved.set()


@dataclass
class SweptRun(Run):
    """One example with a sweeper for each replica."""

    sweepers: list[Sweeper] = field(default_factory=list)
    # The last seq that is old.
    aged: int = 0

    async def age(self, count: int) -> None:
        """Let so many events more be old."""
        last = await asyncio.to_thread(self._oldest) + count - 1
        aged = await asyncio.to_thread(grow_old, self.database, last, room_uid=room_uid_of(self.room_id))
        self.aged = max(self.aged, aged)

    async def sweep(self, replica: int) -> None:
        """Sweep, unless the database is cut off meanwhile."""
        with suppress(Unavailable):
            await self.sweepers[replica].sweep()

    async def cut_sweepers(self) -> None:
        """Cut off who was last seen at the heads, in the middle or not."""
        await asyncio.to_thread(self._cut_sweepers)

    def _cut_sweepers(self) -> None:
        with psycopg.connect(self.database.superuser_dsn, autocommit=True) as connection:
            connection.execute(_CUT_SWEEPERS)

    def _oldest(self) -> int:
        with psycopg.connect(self.database.superuser_dsn) as connection:
            row = connection.execute(
                "SELECT oldest_seq FROM messages.heads WHERE room_uid = %s", (room_uid_of(self.room_id),)
            ).fetchone()
        return int(row[0]) if row is not None else 1

    async def _again(self, replica: int, method: str, request: Any) -> None:
        client = self.clients[replica]
        with suppress_not_found():
            message = (await client.call(request)).message
            if method == "SendMessage":
                known = self.seqs.get(request.request_id, message.seq)
                if known != message.seq:
                    # A repetition is the same message as long as that lives.
                    assert min(known, message.seq) < await asyncio.to_thread(self._oldest)
                self.seqs[request.request_id] = max(known, message.seq)

    async def check(self, shuffle: Shuffle) -> None:
        """Compare all that was read and all that can be read."""
        oldest = await self._begins_at() if self.seqs else 1
        log = await self._log()
        assert [event.seq for event in log] == list(range(oldest, oldest + len(log)))
        for event in log:
            if event.HasField("message_gone"):
                assert event.message_gone.seq < oldest
        request = pb2.ListMessagesRequest(room_id=self.room_id, direction=pb2.DIRECTION_NEWER)
        listed = [message async for message in pages(self.clients[0], request)]
        request = pb2.ListMessagesRequest(room_id=self.room_id)
        assert [message async for message in pages(self.clients[1], request)] == listed[::-1]
        assert all(message.seq >= oldest for message in listed)
        assert folded(log) == listed
        for reader in cast("list[SweptReader]", self.readers):
            await self._compare(reader, log, listed, oldest)
            shuffle(reader.seen)
            assert folded(reader.seen) == listed

    async def _begins_at(self) -> int:
        """Sweep for certain; return where the log begins, which is after what is old and not any later."""
        while True:
            with suppress(Unavailable):
                await self.sweepers[0].sweep()
                break
        oldest = await asyncio.to_thread(oldest_seq, self.database, room_uid_of(self.room_id))
        assert oldest == self.aged + 1
        return oldest

    async def _compare(
        self, reader: SweptReader, log: list[room_event_pb2.RoomEvent], listed: list[Any], oldest: int
    ) -> None:
        await reader.up_to(log[-1].seq if log else oldest - 1)
        assert reader.seqs == sorted(set(reader.seqs))
        # A client learns that messages are gone when it comes back, and a hub some moments after they went.
        while reader.oldest_seq < oldest:
            await reader.cut()
        assert list(reader.messages) == listed


async def test_whoever_reads_a_log_that_is_swept_ends_with_what_it_says(database: TestDatabase, tmp_path: Path) -> None:
    peers, rooms = Peers(users={"alice"}), Rooms({})
    with running_nats(tmp_path) as nats:
        async with serve(peers), AsyncExitStack() as stack:
            told: dict[str, Any] = {
                "rooms_address": peers.address,
                "users_address": peers.address,
                "nats": nats,
                "limit_overrides": {"RESUME_MESSAGES": _RESUMED},
            }
            suite = await stack.enter_async_context(running(database, tmp_path, **told))
            clients = [connect((await suite.start("messages")).address, token("alice")) for _ in range(2)]
            sweepers = [await stack.enter_async_context(sweeper(database, rooms)) for _ in range(2)]

            async def example(bursts: list[list[Step]], random: Random) -> None:
                room_id = f"room {len(peers.members)}"
                peers.members[room_id] = {"alice"}
                rooms.days[room_uid_of(room_id)] = None
                readers: list[Reader] = [SweptReader(client, room_id) for client in clients]
                await _play(bursts, random, SweptRun(database, clients, room_id, readers, sweepers=sweepers))

            await asyncio.to_thread(_every_example, asyncio.get_running_loop(), example)
            for client in clients:
                await client.close()


async def _play(bursts: list[list[Step]], random: Random, run: SweptRun) -> None:
    for reader in run.readers:
        await reader.start()
    async with asyncio.timeout(HANG_SECONDS):
        for burst in bursts:
            await at_once(burst, run)
        await run.check(random.shuffle)
    for reader in run.readers:
        await reader.stop()


def _every_example(loop: asyncio.AbstractEventLoop, example: Any) -> None:
    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    # A seed, because how much is shuffled differs from run to run, and hypothesis wants its own draws to be the same.
    @given(bursts=_BURSTS, seed=st.integers(0, 1_000))
    def holds(bursts: list[list[Step]], seed: int) -> None:
        asyncio.run_coroutine_threadsafe(example(bursts, Random(seed)), loop).result()

    holds()
