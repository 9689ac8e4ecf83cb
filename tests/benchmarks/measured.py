"""The services in the test's own process as the benchmarks know a suite: without an edge, and without processes."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import grpc

from benchmarks import suite as benchmarks_suite
from benchmarks.echo import Bare
from benchmarks.seeding import TEMPLATE, Seeding, make_templates
from services.stack.home import Home
from tests.support import suite as support
from tests.support.tokens import su, token, user


class Measured(benchmarks_suite.Suite):
    """What is measured; no CPU is told of it, for all of it is this process."""

    services: support.Suite

    def address(self, service: str) -> str:
        """Return where a service listens."""
        return self.services.servers[service].address

    @property
    def groups(self) -> dict[str, int]:
        """No processes."""
        return {}

    def token(self, user_id: str) -> str:
        """Return a user's token."""
        return token(user_id)

    @property
    def superuser_token(self) -> str:
        """A superuser's token."""
        return token(None, su=True)


@asynccontextmanager
async def measured(services: support.Suite) -> AsyncIterator[Measured]:
    """Make the templates, and run a bare server, while the context is open; messages takes the place of the edge."""
    await make_templates(services.users, services.rooms, services.messages, su=su(), own=user(TEMPLATE))
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Bare(),))
    bare = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    seeding = Seeding(services.database.superuser_dsn)
    edge = services.servers["messages"].address
    made = Measured(cast("Home", None), edge, bare, seeding, lambda _: None, os.getpid())
    made.services = services
    try:
        yield made
    finally:
        seeding.close()
        await server.stop(None)
