"""What runs: a PostgreSQL and a NATS for all arrangements, and for each of them processes of both releases."""

import asyncio
import json
import re
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import psycopg
from psycopg import sql

from services.stack.home import Home
from services.stack.machine.cluster import DATABASE, SUPERUSER
from services.stack.machine.health import EdgeHealth, ServiceHealth
from services.stack.machine.ports import Port
from services.stack.machine.postgres import Postgres
from services.stack.machine.processes import (
    Plan,
    Program,
    edge_program,
    listening,
    max_connections,
    migrations,
    service_programs,
)
from services.stack.machine.replicas import names
from services.stack.machine.supervisor import Child, run_once
from services.stack.roles import SERVICES
from services.stack.schemas import bootstrap
from tests.checks.mixed.arrangements import EDGE, Arrangement, Side
from tests.checks.mixed.releases import Release
from tests.support import nats, tokens

_HOST = "127.0.0.1"
_MOST_REPLICAS = 2
_START_SECONDS, _STOP_SECONDS = 60.0, 15.0
# What the traffic must not meet: how often somebody may call, and how many rooms one user makes and has.
_LIMITS = (
    "REQUESTS_PER_USER_PER_SECOND",
    "SENDS_PER_USER_PER_SECOND",
    "ROOMS_CREATED_PER_USER",
    "ROOMS_CREATED_PER_USER_PER_DAY",
    "ROOMS_PER_USER",
    "ROOMS_GIVEN_PER_USER",
)
_CAUSE = re.compile(r"^\W*(\w+(?:Error|Exception)\b.*)$", re.MULTILINE)
Say = Callable[[str], None]
Releases = Mapping[Side, Release]


@dataclass
class Machine:
    """The database and the bus, on which one arrangement after the other runs."""

    home: Home
    postgres: Postgres
    bus: nats.Nats
    releases: Releases
    environment: Mapping[str, str]
    say: Say
    # Whose schemas are there; none are at first.
    schemas: Side | None = None

    @asynccontextmanager
    async def arranged(self, arrangement: Arrangement) -> AsyncIterator["Running"]:
        """Run an arrangement while the context is open, from the moment when all of it is healthy."""
        with self.planned(arrangement.replicas) as plan:
            folder = self.home.folder / arrangement.name.replace(" ", "-")
            folder.mkdir()
            running = Running(self, plan, folder)
            try:
                await running.start(arrangement)
                yield running
            finally:
                await running.stop()

    async def migrate(self, side: Side) -> None:
        """Bring the schemas to those of a release, as an operator does first; those of the newer one stay."""
        if self.schemas in {side, "newer"}:
            return
        with self.planned(1) as plan:
            logs = self.home.logs
            programs = [self.program(migration, side) for migration in migrations(plan)]
            await asyncio.gather(*(run_once(program, logs / f"{program.name}.migrate.log") for program in programs))
            if side == "newer":
                # As where the older release has made the schema, which is what an upgrade finds.
                self._order_at_once()
        self.schemas = side

    def _order_at_once(self) -> None:
        with psycopg.connect(self.postgres.dsn(SUPERUSER, self.postgres.password, DATABASE)) as connection:
            for schema in ("rooms", "users"):
                told = sql.SQL("UPDATE {} SET is_ordered_later = false")
                connection.execute(told.format(sql.Identifier(schema, "change_counter")))

    def program(self, program: Program, side: Side) -> Program:
        """Return a program of a release, told what all are told."""
        told = replace(program, environment={**program.environment, **self.environment})
        return self.releases[side].runs(told)

    @contextmanager
    def planned(self, replicas: int) -> Iterator[Plan]:
        """Lend what so many processes of each service are started with, and their ports."""
        processes = [name for service in SERVICES for name in names(service, replicas)]
        ports = {name: Port(_HOST) for name in listening(processes)}
        addresses = {name: port.address for name, port in ports.items()}
        addresses["nats"] = f"{_HOST}:{self.bus.port}"
        try:
            yield Plan(self.home, self.postgres, dict.fromkeys(SERVICES, replicas), addresses)
        finally:
            for port in ports.values():
                port.release()


@contextmanager
def machine(folder: Path, releases: Releases, say: Say) -> Iterator[Machine]:
    """Run the database and the bus while the context is open."""
    home = Home(folder / "home")
    home.prepare()
    keys_file, _ = tokens.write_keys(folder)
    environment = {
        "CHATKIT_INSTANCE": tokens.INSTANCE,
        "CHATKIT_KEYS_FILE": str(keys_file),
        "CHATKIT_LOG_FORMAT": "json",
        **{f"CHATKIT_LIMIT_{name}": "1000000" for name in _LIMITS},
    }
    database = Postgres(
        home.data,
        home.logs / "postgres.log",
        password=home.passwords["postgres"],
        max_connections=max_connections(len(SERVICES) * _MOST_REPLICAS),
        settings={"fsync": "off"},
    )
    with database as postgres, nats.running(folder, passwords=home.nats_passwords) as bus:
        bootstrap(postgres.superuser_dsn, DATABASE, home.passwords)
        yield Machine(home, postgres, bus, releases, environment, say)


@dataclass
class Running:
    """The processes of one arrangement."""

    machine: Machine
    plan: Plan
    folder: Path
    _children: dict[str, Child] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """Where the edge is."""
        return self.plan.addresses[EDGE]

    async def start(self, arrangement: Arrangement) -> None:
        """Start everything, and return when it is healthy."""
        edge = edge_program(self.plan, str(self.folder / "run"))
        for program in (*service_programs(self.plan), edge):
            side = arrangement.sides[program.name]
            log = self.folder / f"{program.name}.log"
            child = Child(self.machine.program(program, side), log, self.machine.say, lambda: None)
            self._children[program.name] = child
            await child.start()
        for name in self._children:
            await self._healthy(name)

    async def restart(self, name: str, side: Side) -> None:
        """End a process as a deployment does, and return when one of that release serves in its place."""
        child = self._children[name]
        assert child.process is not None
        child.process.send_signal(signal.SIGTERM)
        await child.process.wait()
        child.program = self.machine.program(child.program, side)
        await child.start()
        await self._healthy(name)

    async def stop(self) -> None:
        """Stop everything, the edge last."""
        edge = self._children.pop(EDGE, None)
        await asyncio.gather(*(child.stop(_STOP_SECONDS) for child in self._children.values()))
        if edge is not None:
            await edge.stop(_STOP_SECONDS)

    def troubles(self) -> list[str]:
        """Return which processes have ended by themselves, and what they have logged as errors."""
        processes = [(name, child.process) for name, child in self._children.items()]
        ended = [f"{name} has ended" for name, process in processes if process and process.returncode is not None]
        return [*ended, *(error for name in self._children for error in self._errors(name))]

    def _errors(self, name: str) -> Iterator[str]:
        log = self.folder / f"{name}.log"
        for line in log.read_text(errors="replace").splitlines() if log.exists() else ():
            if line.startswith("{") and (told := json.loads(line)).get("level") == "error":
                # Of a traceback what stands at its end.
                causes = _CAUSE.findall(str(told.pop("exception", "")))
                yield f"{name} has logged {json.dumps(told)}{': ' if causes else ''}{''.join(causes[-1:])}"

    async def _healthy(self, name: str) -> None:
        health = EdgeHealth() if name == EDGE else ServiceHealth()
        await self._children[name].wait_until(health, time.monotonic() + _START_SECONDS)
