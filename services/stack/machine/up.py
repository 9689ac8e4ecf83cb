"""`up`: PostgreSQL, NATS, the edge and the services, in this order; stopped in the opposite one.

Every part is an own process that is restarted when it crashes. What runs is recorded in the home folder, so that the
other commands find it and the next `up` can end what this one could not.
"""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager, suppress
from dataclasses import replace

from services.runtime.tracing.spans import endpoint
from services.stack.home import Home, Running
from services.stack.machine.blocking import to_its_end
from services.stack.machine.cluster import DATABASE
from services.stack.machine.health import health_of
from services.stack.machine.ports import Port
from services.stack.machine.postgres import Postgres
from services.stack.machine.processes import (
    Plan,
    Program,
    edge_program,
    listening,
    max_connections,
    metrics_name,
    migrations,
    nats_program,
    service_programs,
)
from services.stack.machine.recorded import process_of
from services.stack.machine.replicas import process_names
from services.stack.machine.rotation import RotatingFile
from services.stack.machine.supervisor import Child, Say, run_once
from services.stack.schemas import bootstrap
from services.stack.seed import seed
from services.stack.traces.receiver import receiving
from services.stack.trouble import Trouble

HOST = "127.0.0.1"
_START_SECONDS = 60.0
_STOP_SECONDS = 15.0
_WATCH_SECONDS = 0.1
_RETRY_SECONDS = 1.0
# A server that begins anew by itself, behind a backend that crashed, may stand still for ever when it finds the disk
# full meanwhile: PostgreSQL 18.4 then waits for a recovery that has ended. One that ends is started again from here.
_ENDS_WITH_A_CRASH = {"restart_after_crash": "off"}


class Stack:
    """The suite on one machine."""

    def __init__(
        self, home: Home, port: int, replicas: Mapping[str, int], say: Say, *, keeps_traces: bool = False
    ) -> None:
        self._home = home
        self._say = say
        processes = process_names(replicas)
        self._ports = {name: Port(HOST, port if name == "edge" else 0) for name in listening(processes)}
        self._ports["nats"] = Port(HOST, child="reuses address")
        if is_kept := keeps_traces and endpoint() is None:
            self._ports["collector"] = Port(HOST)
        self._addresses = {name: held.address for name, held in self._ports.items()}
        self._postgres = Postgres(
            home.data,
            home.logs / "postgres.log",
            password=home.passwords["postgres"],
            max_connections=max_connections(len(processes)),
            settings=_ENDS_WITH_A_CRASH,
        )
        collector = self._addresses["collector"] if is_kept else ""
        # Other ways to go than those addresses; to be filled before it runs.
        self.ways: dict[tuple[str, str], str] = {}
        self._plan = Plan(home, self._postgres, replicas, self._addresses, collector, self.ways)
        self._children: dict[str, Child] = {}
        # Held by whoever stops PostgreSQL and starts it again.
        self._restarting = asyncio.Lock()

    @property
    def address(self) -> str:
        """The edge's address."""
        return self._addresses["edge"]

    @property
    def addresses(self) -> Mapping[str, str]:
        """Where the processes listen, by what each address is called; without PostgreSQL."""
        return self._addresses

    @property
    def postgres(self) -> Postgres:
        """The PostgreSQL of all services."""
        return self._postgres

    @property
    def children(self) -> Mapping[str, Child]:
        """The other processes, by name, once they were started."""
        return self._children

    async def ailing(self) -> list[str]:
        """Name the processes that are not healthy now; without PostgreSQL."""
        checks = (health_of(name)(child.program.address) for name, child in self._children.items())
        answers = await asyncio.gather(*checks)
        return [name for name, is_healthy in zip(self._children, answers, strict=True) if not is_healthy]

    @asynccontextmanager
    async def postgres_down(self, *, is_killed: bool = False) -> AsyncIterator[None]:
        """Stop PostgreSQL, or kill it, and start it again when the context is left; meanwhile nobody does."""
        async with self._restarting:
            await to_its_end(self._postgres.kill if is_killed else self._postgres.stop)
            try:
                yield
            finally:
                await self._start_postgres()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run everything while the context is open, from the moment when all of it is healthy."""
        async with AsyncExitStack() as stack:
            stack.callback(self.release)
            # The first, and the last to end, so that what the others tell at their end is taken.
            stack.enter_context(self._kept_traces())
            run_folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="chatkit-"))
            await stack.enter_async_context(self._database())
            self._say("migrating the schemas")
            async with asyncio.TaskGroup() as group:
                for migration in migrations(self._plan):
                    group.create_task(run_once(migration, self._home.logs / f"{migration.name}.migrate.log"))
            self._say("starting NATS, the services and the edge")
            programs = service_programs(self._plan)
            edge, nats = edge_program(self._plan, run_folder), nats_program(self._plan)
            await stack.enter_async_context(self._processes([nats]))
            # The edge is stopped after the services, so that it can still carry the last events of their streams.
            await stack.enter_async_context(self._processes([edge]))
            await stack.enter_async_context(self._processes(programs))
            await self._await_health()
            await self._seed_once()
            yield

    @contextmanager
    def _kept_traces(self) -> Iterator[None]:
        if not self._plan.collector:
            yield
            return
        file = RotatingFile(self._home.traces, kept_files=1, mode=0o600)
        with closing(file), receiving(self._plan.collector, file.write, self._say):
            yield

    @asynccontextmanager
    async def _database(self) -> AsyncIterator[None]:
        self._say("starting PostgreSQL")
        try:
            await to_its_end(self._postgres.start)
            self.record()
            passwords = self._home.passwords
            await to_its_end(lambda: bootstrap(self._postgres.superuser_dsn, DATABASE, passwords))
            async with _background(self._keep_postgres()):
                yield
        finally:
            await to_its_end(self._postgres.close)

    @asynccontextmanager
    async def _processes(self, programs: list[Program]) -> AsyncIterator[None]:
        children = [
            Child(program, self._home.logs / f"{program.name}.log", self._say, self.record) for program in programs
        ]
        self._children.update({child.program.name: child for child in children})
        try:
            async with AsyncExitStack() as stack:
                for child in children:
                    await child.start()
                    await stack.enter_async_context(_background(child.keep_alive()))
                yield
        finally:
            async with asyncio.TaskGroup() as group:
                for child in children:
                    group.create_task(child.stop(_STOP_SECONDS))

    async def _keep_postgres(self) -> None:
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            async with self._restarting:
                if self._postgres.is_alive():
                    continue
                self._say(f"postgres ended and is started again; its log: {self._home.logs / 'postgres.log'}")
                await self._start_postgres()

    async def _start_postgres(self) -> None:
        """Start it again; when that fails, whoever keeps it alive tries anew."""
        try:
            await to_its_end(self._postgres.start)
            self.record()
        except Trouble as trouble:
            self._say(str(trouble))
            await asyncio.sleep(_RETRY_SECONDS)

    async def _await_health(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        async with asyncio.TaskGroup() as group:
            for name, child in self._children.items():
                group.create_task(child.wait_until(health_of(name), deadline))

    async def _seed_once(self) -> None:
        state = self._home.state()
        if not state.is_seeded:
            await seed(self._home, self.address)
        self._home.record(replace(self._home.state(), address=self.address, metrics=self._metrics(), is_seeded=True))

    def _metrics(self) -> dict[str, str]:
        """Return where each process that has figures tells them."""
        return {
            name: self._addresses[metrics_name(name)]
            for name in self._children
            if metrics_name(name) in self._addresses
        }

    def record(self) -> None:
        """Write down what runs now."""
        processes: list[Running] = []
        if self._postgres.is_alive():
            processes.append(process_of("postgres", self._postgres.pid, str(self._postgres.socket_folder)))
        for name, child in self._children.items():
            if child.process is not None and child.process.returncode is None:
                # A process that has just ended is not worth recording.
                with suppress(ProcessLookupError):
                    processes.append(process_of(name, child.process.pid, self._addresses[name]))
        try:
            self._home.record(replace(self._home.state(), processes=processes))
        except OSError as error:
            # A full disk must not keep anything from being started again.
            self._say(f"what runs can't be recorded in {self._home.folder}: {error.strerror}")

    def release(self) -> None:
        """Give the ports back, and record that nothing runs."""
        for held in self._ports.values():
            held.release()
        self._home.record(replace(self._home.state(), address="", metrics={}, processes=[]))


@asynccontextmanager
async def _background(work: Awaitable[None]) -> AsyncIterator[None]:
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
