"""The composition root. The contract has no RPC for files yet: the process has health, reflection and its schema."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.runtime.clock import Clock
from services.runtime.server import Server, open_server
from services.runtime.settings import Settings


@asynccontextmanager
async def build(settings: Settings, clock: Clock) -> AsyncIterator[Server]:
    """Serve files for as long as the context is open."""
    async with open_server("files", settings, clock) as server:
        await server.start({})
        yield server
