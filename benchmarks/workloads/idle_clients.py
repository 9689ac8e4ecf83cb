"""W3: the memory of an idle client who subscribes to one room of 100, and of a device that follows all that is its.

At the services a hundred streams share a connection, as they do behind the edge; also with a connection each.
Through the edge every client has a connection of its own.
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from benchmarks.figures import Figure, Options
from benchmarks.load import devices, idle
from benchmarks.load.jobs import IdleJob, Room
from benchmarks.load.process import in_own_process
from benchmarks.suite import Suite, bare_server
from services.stack.roles import SERVICES

NAME = "W3"
_MEMBERS = 100
_SETTLE_SECONDS = 0.5
# What an idle client costs anything at, and a device.
_OF_CLIENTS, _OF_DEVICES = ("messages", "edge"), ("users", "rooms", "messages", "edge")
_KB = 1_000


@dataclass(frozen=True, slots=True)
class _Case:
    name: str
    via: str
    streams_per_connection: int
    load: Callable[[IdleJob], Coroutine[Any, Any, dict[str, Any]]] = idle.run
    restarted: tuple[str, ...] = _OF_CLIENTS


SHARED = _Case("idle clients, 100 on a connection", "services", 100)
DEVICES = _Case("devices, 100 on a connection", "services", 100, devices.run, _OF_DEVICES)
_CASES = (
    SHARED,
    DEVICES,
    _Case("devices, a connection each", "edge", 1, devices.run, _OF_DEVICES),
    _Case("idle clients, a connection each", "services", 1),
    _Case("idle clients, a connection each", "edge", 1),
    _Case("idle streams, 100 on a connection", "bare", 100),
)


async def run(suite: Suite, options: Options) -> list[Figure]:
    """Open streams in every way and see how much memory the processes have grown by."""
    figures = []
    for number, case in enumerate(_CASES):
        suite.say(f"{NAME}: {case.name}, {case.via}")
        rooms = await suite.rooms(f"w3-{number}", options.size(10, 2), _MEMBERS)
        # What streams before have left would be used again, and the next ones would seem to cost nothing.
        if case.via == "bare":
            async with bare_server() as (address, pid):
                figures.append(await _measure(case, rooms, address, {"bare": pid}))
            continue
        for name in case.restarted:
            await suite.restart(name)
        address = suite.edge if case.via == "edge" else suite.address("messages")
        figures.append(await _measure(case, rooms, address, suite.groups))
    return figures


async def _measure(case: _Case, rooms: list[Room], address: str, groups: dict[str, int]) -> Figure:
    job = IdleJob(
        address=address,
        rooms=rooms,
        groups=groups,
        seconds=_SETTLE_SECONDS,
        streams_per_connection=case.streams_per_connection,
    )
    found = await in_own_process(case.load, job)
    grown = {name: size / found["streams"] / _KB for name, size in found["memory_bytes"].items()}
    service = sum(size for name, size in grown.items() if name in SERVICES)
    of_each = {f"kb_{name}": grown.get(name, 0.0) for name in case.restarted if name in SERVICES}
    shown = {
        **of_each,
        "kb_service": service,
        "kb_edge": grown.get("edge", 0.0),
        "kb_database": grown.get("database", 0.0),
    }
    if case.via == "bare":
        shown = {"kb_bare": grown["bare"]}
    return Figure(
        NAME, case.name, case.via, "client", details={"clients": found["streams"], "ended": found["ended"], **shown}
    )
