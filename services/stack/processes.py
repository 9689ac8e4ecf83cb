"""The table of processes: what each is started with. Everything is told by the environment, as in production."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from services.stack.home import Home
from services.stack.postgres import Postgres
from services.stack.roles import SERVICES, role_names

DATABASE = "chatkit"
CONNECTIONS_PER_PROCESS = 6


@dataclass(frozen=True, slots=True)
class Program:
    """A process to run: its name, how it is started, and where it listens."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    address: str


def service_programs(home: Home, postgres: Postgres, addresses: Mapping[str, str]) -> list[Program]:
    """List the four services."""
    return [
        Program(name, _module(name, "serve"), _service_environment(home, postgres, addresses, name), addresses[name])
        for name in SERVICES
    ]


def migrations(home: Home, postgres: Postgres, addresses: Mapping[str, str]) -> list[Program]:
    """List the services' migrations, which run once before the services."""
    return [
        Program(name, _module(name, "migrate"), _service_environment(home, postgres, addresses, name), "")
        for name in SERVICES
    ]


def edge_program(home: Home, addresses: Mapping[str, str], run_folder: str) -> Program:
    """Return the edge."""
    environment = {
        **_shared(home, addresses),
        "CHATKIT_LISTEN": addresses["edge"],
        "CHATKIT_METRICS_LISTEN": addresses["metrics"],
        "CHATKIT_RUN_DIR": run_folder,
    }
    return Program("edge", _module("edge", "serve"), environment, addresses["edge"])


def max_connections(reserve: int = 13) -> int:
    """Return what PostgreSQL must admit: the services' connections, their migrations', and a reserve for people."""
    return len(SERVICES) * (CONNECTIONS_PER_PROCESS + 1) + reserve


def _module(name: str, command: str) -> tuple[str, ...]:
    return (sys.executable, "-m", f"services.{name}", command)


def _service_environment(home: Home, postgres: Postgres, addresses: Mapping[str, str], name: str) -> dict[str, str]:
    runtime, migrate = role_names(name)
    passwords = home.passwords
    return {
        **_shared(home, addresses),
        "CHATKIT_LISTEN": addresses[name],
        "CHATKIT_DATABASE_URL": postgres.dsn(runtime, passwords[runtime], DATABASE),
        "CHATKIT_MIGRATE_DATABASE_URL": postgres.dsn(migrate, passwords[migrate], DATABASE),
        "CHATKIT_DATABASE_PROCESSES": str(len(SERVICES)),
        "CHATKIT_DATABASE_CONNECTIONS": str(CONNECTIONS_PER_PROCESS),
    }


def _shared(home: Home, addresses: Mapping[str, str]) -> dict[str, str]:
    return {
        # The deployment's own overrides (limits, log format, intervals) come through.
        **os.environ,
        "CHATKIT_INSTANCE": home.instance,
        "CHATKIT_KEYS_FILE": str(home.keys_file),
        "CHATKIT_SERVICE_KEYS_FILE": str(home.service_keys_file),
        **{f"CHATKIT_{name.upper()}_ADDRESS": addresses[name] for name in SERVICES},
    }
