"""Processes that are killed or stand still."""

import os
import random
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial

import psutil
import psycopg

from services.stack.chaos.links import NATS, POSTGRES
from services.stack.chaos.steps import Disturbance, Losses
from services.stack.chaos.suite import Suite
from services.stack.machine.blocking import to_its_end
from services.stack.machine.replicas import process_names
from services.stack.roles import SERVICES, role_names

EDGE = "edge"
_BACKENDS = "SELECT pid FROM pg_stat_activity WHERE usename = %s"


def kill(chance: random.Random, replicas: Mapping[str, int]) -> Disturbance:
    """Choose a process to be killed the hard way."""
    name = chance.choice(_all(replicas))
    return Disturbance(f"{name} is killed", frozenset({name}), chance.uniform(0.5, 2), partial(_killed, name))


def pause(chance: random.Random, replicas: Mapping[str, int]) -> Disturbance:
    """Choose a process to stand still, with all that it has started."""
    name, seconds = chance.choice(_all(replicas)), chance.uniform(1, 6)
    return Disturbance(f"{name} stands still for {seconds:.1f} s", frozenset({name}), seconds, partial(_paused, name))


def backends(chance: random.Random, _replicas: Mapping[str, int]) -> Disturbance:
    """Choose a service whose sessions at PostgreSQL are killed, which lets PostgreSQL begin anew for all."""
    service, seconds = chance.choice(SERVICES), chance.uniform(0.5, 2)
    name = f"PostgreSQL's backends of {service} are killed"
    return Disturbance(name, frozenset({POSTGRES}), seconds, partial(_without_backends, service))


def _all(replicas: Mapping[str, int]) -> list[str]:
    return [*process_names(replicas), EDGE, NATS, POSTGRES]


def pid_of(suite: Suite, name: str) -> int:
    """Return the pid of a process that runs; a ProcessLookupError where none does at the moment."""
    if name == POSTGRES:
        return suite.stack.postgres.pid
    process = suite.child(name).process
    if process is None or process.returncode is not None:
        raise ProcessLookupError(f"{name} does not run")
    return process.pid


@asynccontextmanager
async def _killed(name: str, suite: Suite, _losses: Losses) -> AsyncIterator[None]:
    with suppress(ProcessLookupError):
        os.kill(pid_of(suite, name), signal.SIGKILL)
    yield


@asynccontextmanager
async def _paused(name: str, suite: Suite, _losses: Losses) -> AsyncIterator[None]:
    stopped: list[psutil.Process] = []
    with suppress(ProcessLookupError, psutil.NoSuchProcess):
        _stop(psutil.Process(pid_of(suite, name)), stopped)
    try:
        yield
    finally:
        for process in reversed(stopped):
            with suppress(psutil.NoSuchProcess):
                process.resume()


def _stop(process: psutil.Process, stopped: list[psutil.Process]) -> None:
    """Stop a process, and then what it has started: it starts nothing more."""
    process.suspend()
    stopped.append(process)
    for child in process.children():
        with suppress(psutil.NoSuchProcess):
            _stop(child, stopped)


@asynccontextmanager
async def _without_backends(service: str, suite: Suite, _losses: Losses) -> AsyncIterator[None]:
    dsn, role = suite.stack.postgres.superuser_dsn, role_names(service)[0]
    for pid in await to_its_end(partial(_backends, dsn, role)):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    yield


def _backends(dsn: str, role: str) -> list[int]:
    with suppress(psycopg.OperationalError), psycopg.connect(dsn) as connection:
        return [int(pid) for (pid,) in connection.execute(_BACKENDS, (role,))]
    return []
