"""Sends into rooms of which every member subscribes, each on a connection of their own."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from benchmarks.load.jobs import LiveJob, RoomJob
from benchmarks.load.room import Member, RoomLog, Senders, Subscriber, spawn
from benchmarks.load.timing import Window

_PATIENCE_SECONDS = 60.0
_OPENINGS_AT_ONCE = 50


async def run(job: RoomJob) -> dict[str, Any]:
    """Let senders send for a while, and wait until all of it has arrived."""
    window = Window(job.groups)
    logs = await subscribe(job, window)
    senders = start_sending(job, logs)
    await asyncio.sleep(job.warm_up_seconds)
    begin = time.monotonic()
    await window.measure(job.seconds)
    end = time.monotonic()
    await senders.stop()
    await arrival(logs)
    window.durations = [duration for log in logs for duration in log.last_deliveries(begin, end)]
    return {**window.report(), **totals(logs), "sends_per_second": sum(log.sends for log in logs) / window.seconds}


async def subscribe(job: RoomJob | LiveJob, window: Window) -> list[RoomLog]:
    """Open every member's stream and return when all are caught up."""
    logs = []
    for room in job.rooms:
        log = RoomLog(room.id, window)
        logs.append(log)
        for token in room.tokens:
            Subscriber(log, Member(job.address, token))
    await open_all([sub for log in logs for sub in log.subscribers])
    return logs


async def open_all(subscribers: list[Subscriber]) -> None:
    """Open streams, some at once, and return when all are caught up."""
    async with asyncio.timeout(_PATIENCE_SECONDS):
        for start in range(0, len(subscribers), _OPENINGS_AT_ONCE):
            batch = subscribers[start : start + _OPENINGS_AT_ONCE]
            for subscriber in batch:
                subscriber.open()
            for subscriber in batch:
                await subscriber.caught_up.wait()


def start_sending(job: RoomJob, logs: list[RoomLog]) -> Senders:
    """Begin to send; the last members of a room are those who do."""
    senders = Senders(job.namespace, job.text_bytes)
    pairs = [(log, sub.member) for log in logs for sub in log.subscribers[-job.senders :]]
    if job.per_second:
        spawn(senders.at_rate(pairs, job.per_second))
    else:
        for log, member in pairs:
            senders.start_loop(log, member)
    return senders


class Awaited(Protocol):
    """A room of which it is known when everybody has everything."""

    on_change: Callable[[], None]

    @property
    def is_complete(self) -> bool:
        """Whether everybody has everything."""


async def arrival(logs: Sequence[Awaited]) -> None:
    """Return when every subscriber has what was acknowledged, or when patience is over."""
    changed = asyncio.Event()
    for log in logs:
        log.on_change = changed.set
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not all(log.is_complete for log in logs):
        changed.clear()
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                await changed.wait()
        except TimeoutError:
            return


def totals(logs: list[RoomLog]) -> dict[str, Any]:
    """Return the counts over the whole job, its warm-up included, and how long answers took to be everywhere."""
    return {
        "acknowledged": sum(len(log.acknowledged) for log in logs),
        "expected": sum(len(log.acknowledged) * len(log.subscribers) for log in logs),
        "delivered": sum(log.delivered for log in logs),
        "lost": sum(log.lost for log in logs),
        "doubled": sum(log.doubled for log in logs),
    }
