"""Readings of all processes at one time: their figures, and what the machine says of their time and memory."""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

import psutil

from services.stack.figures.reading import Figures, figures_of, is_ready, of_each
from services.stack.home import State
from services.stack.machine.recorded import find

EDGE = "edge"
# These are several processes each, Envoy and what started it, and a server with one for each connection.
_FAMILIES = (EDGE, "postgres")


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process with its children has used: seconds of processors since it began, and memory now."""

    cpu_seconds: float
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Reading:
    """One process at one time; `figures` and `is_ready` are None where it does not tell them, `usage` when it is down.

    `began` says which process it is: one that was started anew counts from nothing.
    """

    figures: Figures | None
    is_ready: bool | None
    usage: Usage | None
    tells_figures: bool
    began: tuple[int, float] = (0, 0.0)


@dataclass(frozen=True, slots=True)
class Sample:
    """All processes at one time, by their names."""

    seconds: float
    processes: Mapping[str, Reading]


def take(state: State) -> Sample:
    """Read all processes that a home has recorded, at once."""
    told = dict(state.metrics)
    services = {name: address for name, address in told.items() if name != EDGE}
    with ThreadPoolExecutor(1) as beside:
        readiness = beside.submit(of_each, services, is_ready)
        figures = of_each(told, figures_of)
        ready = readiness.result()
    running = {process.name: process for process in state.processes}
    names = list(dict.fromkeys([*running, *told]))
    readings = {
        name: Reading(
            figures.get(name),
            ready.get(name),
            _usage(find(running[name]), with_children=name in _FAMILIES) if name in running else None,
            name in told,
            (running[name].pid, running[name].start_time) if name in running else (0, 0.0),
        )
        for name in names
    }
    return Sample(time.monotonic(), readings)


def _usage(process: psutil.Process | None, *, with_children: bool) -> Usage | None:
    if process is None:
        return None
    seconds, size, parts = 0.0, 0, [process]
    with suppress(psutil.Error):
        parts += process.children(recursive=True) if with_children else []
    for number, part in enumerate(parts):
        with suppress(psutil.Error):
            times, memory = part.cpu_times(), part.memory_info()
            seconds += times.user + times.system
            # What processes of a family share is counted once, where the system tells it.
            size += memory.rss - (getattr(memory, "shared", 0) if number else 0)
    return Usage(seconds, size)
