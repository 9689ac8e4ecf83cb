"""Alice, who has something everywhere, and bob, with whom she shares two rooms, in a suite of all services."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from chatkit.users.v1 import users_service_pb2 as users_pb2

from tests.support.databases import TestDatabase
from tests.support.suite import Suite, running
from tests.support.tokens import su


@asynccontextmanager
async def running_with_alice(
    database: TestDatabase, folder: Path, alice: users_pb2.CreateUserRequest
) -> AsyncIterator[Suite]:
    """Run all services; alice is made as the request says."""
    async with running(database, folder, "users", "rooms", "messages", "files") as suite:
        await suite.users.CreateUser(alice, metadata=su())
        await suite.make_users("bob")
        await suite.make_room("lobby", "alice", "bob")
        await suite.make_room("attic", "bob", "alice")
        await suite.assign("alice", "admin")
        yield suite
