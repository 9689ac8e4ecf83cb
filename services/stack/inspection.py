"""`chatkit services` and `chatkit limits`: what runs, and what is in force."""

import argparse
import asyncio
import json
import os
import urllib.request
from typing import Any

from rich.console import Console
from rich.table import Table

from services.runtime.contract import limits_table
from services.stack.home import Home, Running
from services.stack.releases import edge_release, service_release
from services.stack.supervisor import EdgeHealth, NatsHealth, ServiceHealth
from services.stack.trouble import Trouble

_SECONDS = 5.0


def services(home: Home, arguments: argparse.Namespace) -> int:
    """Print what runs; the exit status is 1 unless all of it is healthy."""
    home.running_address()
    processes = home.state().processes
    found = asyncio.run(_look_at_all(processes))
    healthy = [is_healthy for is_healthy, _ in found]
    rows = [
        {
            "name": running.name,
            "address": running.address,
            "pid": running.pid,
            "healthy": is_healthy,
            "version": release,
        }
        for running, (is_healthy, release) in zip(processes, found, strict=True)
    ]
    if arguments.json:
        print(json.dumps(rows, indent=2))
    else:
        table = Table("process", "address", "pid", "health", "version", box=None)
        for row in rows:
            health = "healthy" if row["healthy"] else "not healthy"
            table.add_row(str(row["name"]), str(row["address"]), str(row["pid"]), health, str(row["version"]))
        _print(table)
        print(f"\nThe edge's figures for Prometheus: http://{home.state().metrics_address}/stats/prometheus")
    return 0 if all(healthy) else 1


def limits(home: Home, arguments: argparse.Namespace) -> int:
    """Print the limits in force where the suite runs; where it does not, what it would be started with."""
    rows, source = _limits(home)
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return 0
    table = Table("limit", "in force", "unit", "what it bounds", box=None)
    for row in rows:
        name = f"{row['name']} (planned)" if row["planned"] else row["name"]
        table.add_row(name, f"{row['value']:,}", row["unit"], row["description"])
    _print(table)
    print(f"\n{source} Each can be overridden with CHATKIT_LIMIT_<NAME>.")
    return 0


def _limits(home: Home) -> tuple[list[dict[str, Any]], str]:
    if home.is_up() and home.state().address:
        address = home.running_address()
        return _asked(address)["limits"], f"In force at http://{address}."
    try:
        rows = limits_table(os.environ)
    except ValueError as error:
        raise Trouble(str(error)) from None
    names = ("name", "value", "unit", "description", "planned")
    return [
        {name: getattr(row, name) for name in names} for row in rows
    ], "Nothing runs: these are what `up` starts with."


def _asked(address: str) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(f"http://{address}/", timeout=_SECONDS) as answer:
            return dict(json.load(answer))
    except OSError as error:
        raise Trouble(f"the edge at {address} does not answer: {error}") from None


async def _look_at_all(processes: list[Running]) -> list[tuple[bool, str]]:
    return await asyncio.gather(*(_look_at(running) for running in processes))


async def _look_at(running: Running) -> tuple[bool, str]:
    """Return whether a process is healthy, and its release where it is one of ours and answers."""
    if running.process() is None:
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


def _print(table: Table) -> None:
    console = Console()
    # A pipe has no width: nothing is cut there.
    Console(width=console.width if console.is_terminal else 200).print(table)
