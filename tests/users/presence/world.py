"""Two replicas of users on one database whose clock a test moves, over the wire, and what stands in for rooms."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import psycopg
from chatkit.rooms.v1 import role_pb2

from tests.support.clock import LeapingClock
from tests.support.database_clock import DatabaseClock
from tests.support.databases import TestDatabase
from tests.support.eventually import eventually
from tests.support.peers import Peers, serve
from tests.support.suite import Suite, running

QUICK: dict[str, Any] = {"presence_renewal_interval_seconds": 0.02, "presence_reaping_interval_seconds": 0.02}
GUEST = (role_pb2.ROLE_SCOPE_GLOBAL, "guest")


@dataclass
class World:
    """Two replicas of users, what stands in for rooms, the database's time, and the replicas' own."""

    suite: Suite
    peers: Peers
    time: DatabaseClock
    clock: LeapingClock
    one: grpc.aio.Channel
    two: grpc.aio.Channel
    living: int = 2

    async def passes(self, seconds: int) -> None:
        """Let the database's time pass, a second at a time, in which those who live renew their leases."""
        for _ in range(seconds):
            self.time.advance(1)
            await eventually(lambda: self._renewed() >= self.living)

    async def leaving(self, user_id: str) -> None:
        """Return when it is on disk that a user's last stream has ended."""
        await eventually(lambda: self.ask("leave_time IS NOT NULL", user_id))

    def make_crowd(self, count: int) -> list[str]:
        """Create so many users, and return their ids."""
        crowd = [f"u{number}" for number in range(count)]
        with psycopg.connect(self.suite.database.superuser_dsn) as connection:
            insert = (
                "INSERT INTO users.users (uid, id, name, avatar_url)"
                " SELECT gen_random_uuid(), unnest(%s::text[]), '', ''"
            )
            connection.execute(insert, (crowd,))
        return crowd

    def ask(self, what: str, user_id: str) -> object:
        """Return what a user's row says."""
        with psycopg.connect(self.suite.database.superuser_dsn) as connection:
            query = f"SELECT {what} FROM users.presences WHERE user_id = %s"
            row = connection.execute(query.encode(), (user_id,)).fetchone()
        return row[0] if row is not None else None

    def _renewed(self) -> int:
        with psycopg.connect(self.suite.database.superuser_dsn) as connection:
            query = "SELECT count(*) FROM users.presence_leases WHERE expire_time = %s"
            row = connection.execute(query, (self.time.now + timedelta(seconds=5),)).fetchone()
        assert row is not None
        return int(row[0])


@asynccontextmanager
async def two_replicas(database: TestDatabase, folder: Path) -> AsyncIterator[World]:
    """Run two replicas that hold their leases for long enough to reap, with four users."""
    time, clock = DatabaseClock(database, "users"), LeapingClock()
    async with (
        serve(Peers(clock=clock)) as peers,
        running(database, folder, clock=clock, rooms_address=peers.address, **QUICK) as suite,
    ):
        channels = []
        for _ in range(2):
            await suite.start("users")
            channels.append(suite.channel("users"))
        await suite.make_users("ann", "bob", "cat", "dan")
        one, two = channels
        made = World(suite, peers, time, clock, one, two)
        await made.passes(6)
        yield made
