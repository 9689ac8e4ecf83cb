"""The promise of the log: whatever is done to a room at two replicas, and however a client reads, all agree at last."""

import asyncio
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatkit_client import Client, connect
from tests.messages.log.two_replicas import Reader, Run, Step, at_once, steps
from tests.support.databases import TestDatabase
from tests.support.eventually import HANG_SECONDS
from tests.support.nats import running as running_nats
from tests.support.peers import Peers, serve
from tests.support.suite import running
from tests.support.tokens import token

# Steps of a burst happen at once.
_BURSTS = st.lists(st.lists(steps, min_size=1, max_size=8), min_size=1, max_size=8)
_RESUMED = 5


async def test_whoever_reads_and_however_ends_with_what_the_log_says(database: TestDatabase, tmp_path: Path) -> None:
    peers = Peers(users={"alice"})
    with running_nats(tmp_path) as nats:
        async with serve(peers):
            told: dict[str, Any] = {
                "rooms_address": peers.address,
                "users_address": peers.address,
                "nats": nats,
                "limit_overrides": {"RESUME_MESSAGES": _RESUMED},
            }
            async with running(database, tmp_path, **told) as suite:
                clients = [connect((await suite.start("messages")).address, token("alice")) for _ in range(2)]
                await asyncio.to_thread(_every_example, asyncio.get_running_loop(), database, peers, clients)
                for client in clients:
                    await client.close()


def _every_example(
    loop: asyncio.AbstractEventLoop, database: TestDatabase, peers: Peers, clients: list[Client]
) -> None:
    """Run the examples of the property in a thread, each as a room of its own on the loop of the servers."""

    async def example(bursts: list[list[Step]], random: Random) -> None:
        room_id = f"room {len(peers.members)}"
        peers.members[room_id] = {"alice"}
        readers = [Reader(client, room_id) for client in clients]
        run = Run(database, clients, room_id, readers)
        for reader in readers:
            await reader.start()
        async with asyncio.timeout(HANG_SECONDS):
            for burst in bursts:
                await at_once(burst, run)
            await run.check(random.shuffle)
        for reader in readers:
            await reader.stop()

    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    # A seed, because how much is shuffled differs from run to run, and hypothesis wants its own draws to be the same.
    @given(bursts=_BURSTS, seed=st.integers(0, 1_000))
    def holds(bursts: list[list[Step]], seed: int) -> None:
        asyncio.run_coroutine_threadsafe(example(bursts, Random(seed)), loop).result()

    holds()
