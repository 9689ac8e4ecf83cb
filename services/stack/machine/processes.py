"""The table of processes: what each is started with. Everything is told by the environment, as in production."""

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from services.stack import nats
from services.stack.commit import commit
from services.stack.home import Home
from services.stack.machine.cluster import DATABASE
from services.stack.machine.postgres import Postgres
from services.stack.machine.replicas import names, service_of
from services.stack.roles import SERVICES, role_names

CONNECTIONS_PER_PROCESS = 6
# The service that also listens for HTTP.
CONTENT = "files"


@dataclass(frozen=True, slots=True)
class Program:
    """A process to run: its name, how it is started, and where it listens."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    address: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What runs: how many processes of each service, and where each process listens, by its name."""

    home: Home
    postgres: Postgres
    replicas: Mapping[str, int]
    addresses: Mapping[str, str]
    # Who takes spans; empty where nobody does, or the environment says who.
    collector: str = ""
    # Where a process finds another one in the place of its address, by the names of both; PostgreSQL's is a folder.
    ways: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def address(self, name: str, by: str) -> str:
        """Return where a process finds an address of this name."""
        return self.ways.get((by, name), self.addresses[name])

    def addresses_of(self, service: str, by: str) -> str:
        """Return where a process finds a service: the addresses of its processes, with commas between them."""
        return ",".join(self.address(name, by) for name in names(service, self.replicas[service]))

    def dsn(self, role: str, by: str) -> str:
        """Return what a process signs in to PostgreSQL with."""
        folder = self.ways.get((by, "postgres"), str(self.postgres.socket_folder))
        return self.postgres.dsn(role, self.home.passwords[role], DATABASE, folder)


# Where PostgreSQL and NATS are, and the passwords there: also as files, and beside the URLs.
_OURS = tuple(
    f"CHATKIT_{server}_{what}" for server in ("DATABASE", "MIGRATE_DATABASE", "NATS") for what in ("URL", "PASSWORD")
)


def service_programs(plan: Plan) -> list[Program]:
    """List the services' processes."""
    return [
        Program(
            name,
            _module(service, "serve"),
            {
                **_service_environment(plan, service, name),
                **_spans_environment(plan, name),
                "CHATKIT_LISTEN": plan.addresses[name],
                "CHATKIT_METRICS_LISTEN": plan.addresses[metrics_name(name)],
                **(_content_environment(plan, name) if service == CONTENT else {}),
            },
            plan.addresses[name],
        )
        for service in SERVICES
        for name in names(service, plan.replicas[service])
    ]


def migrations(plan: Plan) -> list[Program]:
    """List the services' migrations, which run once before the services."""
    return [
        Program(service, _module(service, "migrate"), _service_environment(plan, service, by=""), "")
        for service in SERVICES
    ]


def edge_program(plan: Plan, run_folder: str) -> Program:
    """Return the edge."""
    address = plan.addresses["edge"]
    environment = {
        **_shared(plan, "edge"),
        **_spans_environment(plan, "edge"),
        "CHATKIT_LISTEN": address,
        "CHATKIT_METRICS_LISTEN": plan.addresses[metrics_name("edge")],
        "CHATKIT_RUN_DIR": run_folder,
        "CHATKIT_FILES_HTTP_ADDRESS": ",".join(
            plan.address(http_name(name), "edge") for name in names(CONTENT, plan.replicas[CONTENT])
        ),
    }
    return Program("edge", _module("edge", "serve"), environment, address)


def nats_program(plan: Plan) -> Program:
    """Return the bus between the services' replicas."""
    address = plan.addresses["nats"]
    return Program("nats", nats.command(address), nats.environment(plan.home.nats_passwords), address)


def listening(processes: Iterable[str]) -> list[str]:
    """List what the addresses are called at which these processes of services, and the edge, listen."""
    found = ["edge", *processes]
    contents = [name for name in found if service_of(name) == CONTENT]
    return [*found, *map(metrics_name, found), *map(http_name, contents)]


def http_name(process: str) -> str:
    """Return what the address is called where a process listens for HTTP."""
    return f"{process}-http"


def metrics_name(process: str) -> str:
    """Return what the address is called where a process tells its figures."""
    return f"{process}-metrics"


def max_connections(processes: int, reserve: int = 13) -> int:
    """Return what PostgreSQL must admit: the processes' connections, the migrations', and a reserve for people."""
    return processes * CONNECTIONS_PER_PROCESS + len(SERVICES) + reserve


def _module(name: str, command: str) -> tuple[str, ...]:
    return (sys.executable, "-m", f"services.{name}", command)


def _service_environment(plan: Plan, service: str, by: str) -> dict[str, str]:
    runtime, migrate = role_names(service)
    return {
        **_shared(plan, by),
        **_bus_environment(plan, service, by),
        "CHATKIT_DATABASE_URL": plan.dsn(runtime, by),
        "CHATKIT_MIGRATE_DATABASE_URL": plan.dsn(migrate, by),
        "CHATKIT_DATABASE_PROCESSES": str(sum(plan.replicas.values())),
        "CHATKIT_DATABASE_CONNECTIONS": str(CONNECTIONS_PER_PROCESS),
    }


def _bus_environment(plan: Plan, service: str, by: str) -> dict[str, str]:
    password = plan.home.nats_passwords.get(service)
    return {"CHATKIT_NATS_URL": nats.url(plan.address("nats", by), service, password) if password else ""}


def _content_environment(plan: Plan, process: str) -> dict[str, str]:
    return {
        "CHATKIT_HTTP_LISTEN": plan.addresses[http_name(process)],
        "CHATKIT_BLOB_DIR": os.environ.get("CHATKIT_BLOB_DIR", str(plan.home.blobs)),
        "CHATKIT_PUBLIC_URL": os.environ.get("CHATKIT_PUBLIC_URL", f"http://{plan.addresses['edge']}"),
    }


def _spans_environment(plan: Plan, process: str) -> dict[str, str]:
    if not plan.collector:
        return {}
    host, _, _ = plan.collector.rpartition(":")
    said = os.environ.get("OTEL_RESOURCE_ATTRIBUTES")
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{plan.collector}",
        "OTEL_RESOURCE_ATTRIBUTES": ",".join(filter(None, (said, f"service.instance.id={process}"))),
        # They are looked at while the suite runs: all of them, and soon.
        "OTEL_BSP_SCHEDULE_DELAY": os.environ.get("OTEL_BSP_SCHEDULE_DELAY", "500"),
        "CHATKIT_TRACE_PERCENT": os.environ.get("CHATKIT_TRACE_PERCENT", "100"),
        # gRPC would go to a proxy also for what is on this machine.
        "no_grpc_proxy": host,
    }


def _shared(plan: Plan, by: str) -> dict[str, str]:
    home = plan.home
    return {
        # The deployment's own overrides (limits, log format, intervals) come through.
        **{name: value for name, value in os.environ.items() if not name.startswith(_OURS)},
        "CHATKIT_COMMIT": os.environ.get("CHATKIT_COMMIT") or commit(),
        "CHATKIT_INSTANCE": home.instance,
        "CHATKIT_KEYS_FILE": str(home.keys_file),
        "CHATKIT_SERVICE_KEYS_FILE": str(home.service_keys_file),
        **{f"CHATKIT_{name.upper()}_ADDRESS": plan.addresses_of(name, by) for name in SERVICES},
    }
