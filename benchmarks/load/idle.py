"""Subscribers who wait: what each of them costs in memory."""

import asyncio
from typing import Any

from benchmarks.load.fanout import open_all
from benchmarks.load.http2 import Connection, connect
from benchmarks.load.jobs import IdleJob
from benchmarks.load.room import Member, RoomLog, Subscriber
from benchmarks.load.timing import Window
from benchmarks.usage import memory_bytes


async def run(job: IdleJob) -> dict[str, Any]:
    """Open the streams, wait, and return what memory has grown by."""
    # Opened once before, so that what the first streams alone cost is not counted as the others'.
    await open_all(await _subscribers(IdleJob(job.address, job.rooms[:1], job.groups, 0.0)))
    before = memory_bytes(job.groups)
    subscribers = await _subscribers(job)
    await open_all(subscribers)
    await asyncio.sleep(job.seconds)
    after = memory_bytes(job.groups)
    return {
        "streams": len(subscribers),
        "memory_bytes": {name: after[name] - before[name] for name in after},
        "ended": sum(len(sub.endings) for sub in subscribers),
    }


async def _subscribers(job: IdleJob) -> list[Subscriber]:
    window = Window(job.groups)
    subscribers: list[Subscriber] = []
    shared: Connection | None = None
    for room in job.rooms:
        log = RoomLog(room.id, window)
        for token in room.tokens:
            member = Member(job.address, token)
            if job.streams_per_connection > 1:
                if len(subscribers) % job.streams_per_connection == 0:
                    shared = await connect(job.address)
                member.connection = shared
            subscribers.append(Subscriber(log, member))
    return subscribers
