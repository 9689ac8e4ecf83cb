"""What the processes of the suite hold: memory, descriptors, threads, streams."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import psutil

from services.stack.figures.reading import figures_of
from services.stack.home import Home
from services.stack.machine.recorded import find

_MEGABYTE = 1_000_000
# What a process may have more at the end: caches fill, pools open what they may, and services follow one another.
_MORE_MEMORY, _MEMORY_SHARE = 96 * _MEGABYTE, 0.5
_MORE_DESCRIPTORS, _MORE_THREADS, _MORE_STREAMS = 40, 16, 8
# It starts a process for each connection, and lets them go with those.
_WITHOUT = {"postgres"}


@dataclass(frozen=True, slots=True)
class Holding:
    """What one process holds."""

    memory: int
    descriptors: int
    threads: int
    streams: int


def holdings(home: Home) -> dict[str, Holding]:
    """Look what each process holds now."""
    state = home.state()
    held: dict[str, Holding] = {}
    for running in state.processes:
        process = find(running)
        if process is None or running.name in _WITHOUT:
            continue
        family = [process, *process.children(recursive=True)]
        told = figures_of(state.metrics[running.name]) if running.name in state.metrics else None
        streams = int(told.value("chatkit_streams_open") or 0) if told is not None else 0
        try:
            memory = sum(one.memory_info().rss for one in family)
            held[running.name] = Holding(
                memory, sum(one.num_fds() for one in family), sum(one.num_threads() for one in family), streams
            )
        except psutil.Error:
            continue
    return held


def grown(before: Mapping[str, Holding], after: Mapping[str, Holding]) -> Iterator[str]:
    """Say of each process what it holds more than it may."""
    for name, then in before.items():
        now = after.get(name)
        if now is None:
            continue
        bounds = (
            ("bytes of memory", then.memory, now.memory, max(_MORE_MEMORY, int(then.memory * _MEMORY_SHARE))),
            ("descriptors", then.descriptors, now.descriptors, _MORE_DESCRIPTORS),
            ("threads", then.threads, now.threads, _MORE_THREADS),
            ("open streams", then.streams, now.streams, _MORE_STREAMS),
        )
        for what, had, has, more in bounds:
            if has > had + more:
                yield f"{name} holds {has:,} {what}, and held {had:,}"
