"""The suite that is measured: a stack of its own in a temporary home, on free ports, with the edge's rates raised."""

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from chatkit.messages.v1 import messages_service_pb2, messages_service_pb2_grpc
from chatkit.rooms.v1 import rooms_service_pb2_grpc
from chatkit.users.v1 import users_service_pb2_grpc

from benchmarks.load.jobs import Room
from benchmarks.seeding import TEMPLATE, Seeding, make_templates
from services.stack.home import Home
from services.stack.machine.cluster import DATABASE, SUPERUSER
from services.stack.machine.health import EdgeHealth, ServiceHealth
from services.stack.machine.replicas import ONE_OF_EACH
from services.stack.machine.up import Stack
from services.stack.sign_in import bearer, token
from services.stack.trouble import Trouble

Say = Callable[[str], None]
# Far above what a benchmark reaches: what is measured is the suite and not its limits of rate.
_RATES = {
    "CHATKIT_LIMIT_REQUESTS_PER_USER_PER_SECOND": "1000000",
    "CHATKIT_LIMIT_SENDS_PER_USER_PER_SECOND": "1000000",
}
_NO_PROXY = (("grpc.enable_http_proxy", 0),)
_SECONDS = 10.0
_POLL_SECONDS = 0.05
_GENERATED = range(1, 2**16)


@dataclass
class Suite:
    """What runs, and how to fill and reach it."""

    home: Home
    edge: str
    bare: str
    seeding: Seeding
    say: Say
    _bare_pid: int
    _namespaces: Any = field(default_factory=lambda: iter(_GENERATED))

    def address(self, service: str) -> str:
        """Return where a service listens itself."""
        return next(running.address for running in self.home.state().processes if running.name == service)

    def pid(self, name: str) -> int:
        """Return the process that runs a part now."""
        return next(running.pid for running in self.home.state().processes if running.name == name)

    @property
    def groups(self) -> dict[str, int]:
        """The processes of the suite by what the report calls them."""
        pids = {running.name: running.pid for running in self.home.state().processes}
        return {"database" if name == "postgres" else name: pid for name, pid in pids.items()}

    @property
    def bare_groups(self) -> dict[str, int]:
        """The bare server's process."""
        return {"bare": self._bare_pid}

    def token(self, user_id: str) -> str:
        """Return a user's token."""
        return token(self.home, user_id)

    @property
    def superuser_token(self) -> str:
        """A superuser's token."""
        return token(self.home, None, su=True)

    def token_of_superuser(self, user_id: str) -> str:
        """Return the token of a superuser who acts as a user."""
        return token(self.home, user_id, su=True)

    @property
    def metrics(self) -> str:
        """Where the edge tells its figures."""
        return self.home.state().metrics["edge"]

    def namespace(self) -> int:
        """Return a number that no other job has, for request ids."""
        return int(next(self._namespaces))

    async def rooms(self, name: str, count: int, members: int) -> list[Room]:
        """Make rooms with members of their own, and return them with the members' tokens."""
        return await asyncio.to_thread(self._rooms, name, count, members)

    def _rooms(self, name: str, count: int, members: int) -> list[Room]:
        user_ids = self.seeding.users(f"{name}-user-", count * members)
        room_ids = self.seeding.rooms(f"{name}-", count, user_ids, apart=True)
        return [
            Room(room_id, [self.token(user_id) for user_id in user_ids[number * members : (number + 1) * members]])
            for number, room_id in enumerate(room_ids)
        ]

    async def last_seq(self, room: Room) -> int:
        """Ask the service for the seq of a room's last message."""
        request = messages_service_pb2.ListMessagesRequest(room_id=room.id, page_size=1)
        async with grpc.aio.insecure_channel(self.edge, options=_NO_PROXY) as channel:
            stub: Any = messages_service_pb2_grpc.MessagesServiceStub(channel)
            metadata = (("authorization", f"Bearer {room.tokens[0]}"),)
            answer = await stub.ListMessages(request, metadata=metadata, timeout=_SECONDS)
        return max((message.seq for message in answer.messages), default=0)

    async def restart(self, name: str) -> None:
        """Let a part begin anew, with the memory that it begins with."""
        before = self.pid(name)
        os.kill(before, signal.SIGTERM)
        await self.healthy(name, before)

    async def healthy(self, name: str, before: int = 0) -> None:
        """Return when a part that was restarted serves again, in another process than before."""
        health = EdgeHealth() if name == "edge" else ServiceHealth()
        while True:
            if self.groups.get(name, before) != before and await health(self.address(name)):
                return
            await asyncio.sleep(_POLL_SECONDS)


@asynccontextmanager
async def running(
    say: Say, past_messages: int = 10_000, *, has_rates: bool = False, replicas: Mapping[str, int] = ONE_OF_EACH
) -> AsyncIterator[Suite]:
    """Run a suite with a past and the bare server while the context is open; nothing of them is left afterwards.

    The limits of rate are out of the way, unless it is said that it has them. Where a service has several replicas,
    `Suite.address` finds none of them: the edge is asked.
    """
    for name, value in _RATES.items():
        if has_rates:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    with tempfile.TemporaryDirectory(prefix="chatkit-bench-") as folder:
        home = Home(Path(folder))
        home.prepare()
        stack = Stack(home, 0, replicas, say)
        async with stack.running(), bare_server() as (bare, bare_pid):
            await _make_templates(home, stack.address)
            seeding = Seeding(_superuser_dsn(home))
            try:
                await asyncio.to_thread(_give_past, seeding, past_messages)
                yield Suite(home, stack.address, bare, seeding, say, bare_pid)
            finally:
                seeding.close()


def _give_past(seeding: Seeding, messages: int) -> None:
    """Fill the log a little: PostgreSQL plans otherwise for empty tables, which those of a suite in use are not."""
    seeding.rooms("past-", 1, [TEMPLATE])
    seeding.messages("past-000000", messages)
    seeding.settle()


@asynccontextmanager
async def bare_server() -> AsyncIterator[tuple[str, int]]:
    """Run a bare server while the context is open; yields its address and its process."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.echo", stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    try:
        address = await process.stdout.readline() if process.stdout is not None else b""
        if not address:
            raise Trouble("the bare server ended at once")
        yield address.decode().strip(), process.pid
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _superuser_dsn(home: Home) -> str:
    socket_folder = next(running.address for running in home.state().processes if running.name == "postgres")
    return f"host={socket_folder} user={SUPERUSER} password={home.passwords['postgres']} dbname={DATABASE}"


async def _make_templates(home: Home, address: str) -> None:
    async with grpc.aio.insecure_channel(address, options=_NO_PROXY) as channel:
        await make_templates(
            users_service_pb2_grpc.UsersServiceStub(channel),
            rooms_service_pb2_grpc.RoomsServiceStub(channel),
            messages_service_pb2_grpc.MessagesServiceStub(channel),
            su=bearer(home, None, su=True),
            own=bearer(home, TEMPLATE),
        )
