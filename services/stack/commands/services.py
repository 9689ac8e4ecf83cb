"""`chatkit services`: what runs, where, and whether it is healthy."""

import argparse
import asyncio
import json

from services.stack.home import Home, Running, State
from services.stack.machine.cluster import BINARIES, DATABASE, SUPERUSER
from services.stack.machine.health import EdgeHealth, NatsHealth, ServiceHealth
from services.stack.machine.recorded import find
from services.stack.releases import edge_release, service_release
from services.stack.terminal import columns


def services(home: Home, arguments: argparse.Namespace) -> int:
    """Print what runs; the exit status is 1 unless all of it is healthy."""
    state = home.state()
    processes = state.processes
    found = asyncio.run(_look_at_all(processes))
    healthy = [is_healthy for is_healthy, _ in found]
    rows = [
        {
            "name": running.name,
            "address": running.address,
            "pid": running.pid,
            "healthy": is_healthy,
            "version": release,
            "metrics": _figures_of(running.name, state),
        }
        for running, (is_healthy, release) in zip(processes, found, strict=True)
    ]
    if arguments.json:
        print(json.dumps(rows, indent=2))
    else:
        health = {True: "healthy", False: "not healthy"}
        shown = [
            (row["name"], row["address"], row["pid"], health[bool(row["healthy"])], row["version"]) for row in rows
        ]
        print(columns(("process", "address", "pid", "health", "version"), shown))
        print(f"\nPostgreSQL has the user {SUPERUSER} and the database {DATABASE}; docs/backup.md says how to reach it")
        print(f"  password: {home.passwords_file}\n  programs: {BINARIES}")
        print("Figures for Prometheus:")
        print(columns(("process", "url"), [(row["name"], row["metrics"]) for row in rows if row["metrics"]]))
    return 0 if all(healthy) else 1


def _figures_of(name: str, state: State) -> str:
    """Return where a process tells its figures; empty where it has none."""
    address = state.metrics.get(name, "")
    return f"http://{address}/{'stats/prometheus' if name == 'edge' else 'metrics'}" if address else ""


async def _look_at_all(processes: list[Running]) -> list[tuple[bool, str]]:
    return await asyncio.gather(*(_look_at(running) for running in processes))


async def _look_at(running: Running) -> tuple[bool, str]:
    """Return whether a process is healthy, and its release where it is one of ours and answers."""
    if find(running) is None:
        return False, ""
    match running.name:
        case "postgres":
            return True, ""
        case "nats":
            return await NatsHealth()(running.address), ""
        case "edge":
            return await EdgeHealth()(running.address), await edge_release(running.address)
        case _:
            return await ServiceHealth()(running.address), await service_release(running.address)
