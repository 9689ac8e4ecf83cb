"""A storm: the service is killed while everybody subscribes, and all of them resume as soon as they can."""

import asyncio
import os
import signal
import time
from typing import Any

from benchmarks.load.fanout import arrival, start_sending, subscribe, totals
from benchmarks.load.jobs import RoomJob
from benchmarks.load.room import RoomLog, Subscriber
from benchmarks.load.timing import Window, milliseconds

_PATIENCE_SECONDS = 120.0


async def run(job: RoomJob) -> dict[str, Any]:
    """Kill the service under load and return how long it took until all were caught up again."""
    window = Window(job.groups)
    logs = await subscribe(job, window)
    subscribers = [sub for log in logs for sub in log.subscribers]
    senders = start_sending(job, logs)
    await asyncio.sleep(job.warm_up_seconds)
    acknowledged_before = _acknowledged(logs)
    window.begin()
    killed_at = time.monotonic()
    os.kill(job.restarted, signal.SIGKILL)
    await _resumed(subscribers)
    window.end()
    meanwhile = _acknowledged(logs) - acknowledged_before
    await asyncio.sleep(job.seconds)
    await senders.stop()
    await arrival(logs)
    caught_up = sorted(sub.caught_up_at - killed_at for sub in subscribers)
    sends = [duration for log in logs for duration in log.last_deliveries(killed_at, killed_at + caught_up[-1])]
    return {
        "subscribers": len(subscribers),
        "first_caught_up_s": caught_up[0],
        "all_caught_up_s": caught_up[-1],
        "storm_s": caught_up[-1] - caught_up[0],
        "sends_meanwhile": meanwhile,
        "attempts": sum(len(sub.endings) for sub in subscribers),
        "resumed": sum(sub.resumed for sub in subscribers),
        "snapshots": sum(sub.snapshots for sub in subscribers),
        "cpu_seconds": window.cpu,
        "meanwhile": milliseconds(sends),
        **totals(logs),
    }


def _acknowledged(logs: list[RoomLog]) -> int:
    return sum(len(log.acknowledged) for log in logs)


async def _resumed(subscribers: list[Subscriber]) -> None:
    async with asyncio.timeout(_PATIENCE_SECONDS):
        for subscriber in subscribers:
            await subscriber.cut.wait()
            await subscriber.caught_up.wait()
