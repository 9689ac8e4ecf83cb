"""The composition root: the only place that names the concrete parts of the service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from chatkit.internal.directory.v1 import directory_service_pb2
from chatkit.users.v1 import users_service_pb2

from services.runtime.clock import Clock
from services.runtime.server import Server, open_server
from services.runtime.settings import Settings
from services.users.service import Users
from services.users.servicer import DirectoryServicer, UsersServicer
from services.users.store import UserStore


@asynccontextmanager
async def build(settings: Settings, clock: Clock) -> AsyncIterator[Server]:
    """Serve users for as long as the context is open."""
    async with open_server("users", settings, clock) as server:
        server.rooms_access()
        users = Users(UserStore(server.database), new_uid=uuid4)
        server.add(
            users_service_pb2.DESCRIPTOR.services_by_name["UsersService"],
            UsersServicer(users, server.page_tokens, server.limits),
        )
        server.add(
            directory_service_pb2.DESCRIPTOR.services_by_name["DirectoryService"],
            DirectoryServicer(users),
        )
        # Rooms waits for users, so users does not wait for rooms: where calls go to ready processes only, neither would
        # ever be ready.
        await server.start({})
        yield server
