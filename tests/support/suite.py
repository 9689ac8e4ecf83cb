"""The services in the test's own process, on sockets of their own, wired to one another as in production."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, overload

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.files import app as files_app
from services.files.settings import FilesSettings
from services.messages import app as messages_app
from services.rooms import app as rooms_app
from services.runtime.clock import Clock, SystemClock
from services.runtime.process.main import Build
from services.runtime.process.server import Server
from services.runtime.settings import Settings
from services.stack.machine.ports import Port
from services.users import app as users_app
from tests.support import tokens
from tests.support.databases import TestDatabase
from tests.support.eventually import HANG_SECONDS
from tests.support.nats import Nats
from tests.support.settings import SETTINGS
from tests.support.stubs import Stubs

# Each is told the settings of its own service.
BUILDS: dict[str, Build[Any]] = {
    "users": users_app.build,
    "rooms": rooms_app.build,
    "messages": messages_app.build,
    "files": files_app.build,
}
# Intervals at which nothing in a test has to wait for long, and a suite that nobody asks anything costs little.
QUICK = {
    "retry_interval_seconds": 0.02,
    "deletions_poll_interval_seconds": 0.2,
    "keys_poll_interval_seconds": 0.1,
    "access_poll_interval_seconds": 0.05,
    "changes_poll_interval_seconds": 0.05,
    "heads_poll_interval_seconds": 0.1,
    "shutdown_grace_seconds": 1.0,
}


@overload
def settings(database: TestDatabase, folder: Path, service: Literal["files"], **changes: Any) -> FilesSettings: ...


@overload
def settings(database: TestDatabase, folder: Path, service: str, **changes: Any) -> Settings: ...


def settings(database: TestDatabase, folder: Path, service: str, **changes: Any) -> Settings:
    """Return the settings of a service on a test's database; `nats` is the server of its bus."""
    nats: Nats | None = changes.pop("nats", None)
    keys, service_keys = tokens.write_keys(folder)
    values = {
        "blob_dir": folder / "blobs",
        "database_url": database.dsn(service),
        "migrate_database_url": database.migrate_dsn(service),
        "database_processes": 4,
        "instance": tokens.INSTANCE,
        "keys_file": keys,
        "service_keys_file": service_keys,
        "log_format": "text",
        # Nobody looks, and a thread for each costs something.
        "metrics_listen": "",
        "nats_url": nats.url(service) if nats is not None else "",
        **QUICK,
        **changes,
    }
    return SETTINGS[service](**values)


@dataclass
class Suite(Stubs):
    """Running services: their servers by name, and stubs to call them with."""

    database: TestDatabase
    folder: Path
    clock: Clock
    changes: dict[str, Any]
    servers: dict[str, Server] = field(default_factory=dict)
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    _parts: dict[str, AsyncExitStack] = field(default_factory=dict)
    # Services wait for one another, so each must know where the others will be.
    _ports: dict[str, Port] = field(default_factory=lambda: {name: Port("127.0.0.1") for name in BUILDS})
    _channels: dict[str, grpc.aio.Channel] = field(default_factory=dict)

    async def start(self, service: str, **changes: Any) -> Server:
        """Start a service and return when it is ready; a second one of a kind gets a port of its own."""
        server = await self.begin(service, **changes)
        await ready(server.address)
        return server

    async def begin(self, service: str, **changes: Any) -> Server:
        """Start a service, wired to the others' ports, whether they run or not."""
        addresses = {f"{name}_address": held.address for name, held in self._ports.items()}
        listen = "127.0.0.1:0" if service in self._parts else self._ports[service].address
        told = {**addresses, "listen": listen, **self.changes, **changes}
        part = AsyncExitStack()
        server = await part.enter_async_context(
            BUILDS[service](settings(self.database, self.folder, service, **told), self.clock)
        )
        self._parts[service] = part
        self.servers[service] = server
        await self._stack.enter_async_context(part)
        return server

    def settings_of(self, service: str) -> Settings:
        """Return the settings with which a service in a process of its own is one of the suite."""
        addresses = {f"{name}_address": held.address for name, held in self._ports.items()}
        told = {**addresses, "listen": self._ports[service].address, **self.changes}
        return settings(self.database, self.folder, service, **told)

    async def stop(self, service: str) -> None:
        """Stop a service gracefully."""
        await self._parts.pop(service).aclose()

    async def restart(self, service: str, **changes: Any) -> Server:
        """Stop a service and start it again at the same address."""
        await self.stop(service)
        return await self.start(service, listen=self.servers[service].address, **changes)

    def address(self, service: str) -> str:
        """Return where a service listens, or will."""
        return self.servers[service].address if service in self.servers else self._ports[service].address

    def channel(self, service: str) -> grpc.aio.Channel:
        """Return a channel to a service; it is closed with the suite."""
        address = self.address(service)
        if address not in self._channels:
            options = (("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 100))
            self._channels[address] = grpc.aio.insecure_channel(address, options=options)
        return self._channels[address]

    async def close(self) -> None:
        """Stop everything, the last one started first."""
        await self._stack.aclose()
        for channel in self._channels.values():
            await channel.close(None)
        for held in self._ports.values():
            held.release()


@asynccontextmanager
async def running(
    database: TestDatabase,
    folder: Path,
    *services: str,
    clock: Clock | None = None,
    **changes: Any,
) -> AsyncIterator[Suite]:
    """Run services; `changes` are settings of all of them."""
    suite = Suite(database, folder, clock or SystemClock(), changes)
    try:
        for service in services:
            await suite.begin(service)
        for service in services:
            await ready(suite.servers[service].address)
        yield suite
    finally:
        await suite.close()


async def ready(address: str) -> None:
    """Return when a service says that it serves."""
    async with grpc.aio.insecure_channel(address) as channel:
        watch: Any = health_pb2_grpc.HealthStub(channel)
        async for answer in watch.Watch(health_pb2.HealthCheckRequest(), wait_for_ready=True, timeout=HANG_SECONDS):
            if answer.status == health_pb2.HealthCheckResponse.SERVING:
                return
