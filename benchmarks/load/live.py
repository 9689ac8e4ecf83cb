"""Sends into rooms that every member follows: the sends are timed, and what the members are given is read and checked.

A member has one connection for both.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.load import calls, streamed
from benchmarks.load.calls import Body, Caller, Counts
from benchmarks.load.fanout import arrival, subscribe
from benchmarks.load.http2 import Head
from benchmarks.load.jobs import LiveJob
from benchmarks.load.room import SEND, RoomLog
from benchmarks.load.streamed import Sender
from benchmarks.load.timing import Window


@dataclass
class _Sending:
    """Who sends into a room, and what was answered."""

    log: RoomLog
    counts: Counts
    sender: Caller | Sender


async def run(job: LiveJob) -> dict[str, Any]:
    """Let all send for a while, and wait until all of it has arrived."""
    # Deliveries have a window that is never opened: what is counted and timed are sends.
    logs = await subscribe(job, Window({}))
    heads = {log.room_id: log.subscribers[0].last for log in logs}
    window = Window(job.groups)
    sending = [_start(job, log, body, window) for log, body in zip(logs, job.bodies, strict=True)]
    await asyncio.sleep(job.warm_up_seconds)
    await window.measure(job.seconds)
    for one in sending:
        one.sender.stop()
    await calls.drained([one.sender for one in sending])
    for one in sending:
        # Nobody else sends, so that each answer stands for the next seq.
        one.log.last_seq = heads[one.log.room_id] + one.counts.answered
    await arrival(logs)
    return {**window.report(), **_totals(sending)}


def _start(job: LiveJob, log: RoomLog, body: bytes, window: Window) -> _Sending:
    member, counts = log.subscribers[-1].member, Counts()
    if member.connection is None:
        raise RuntimeError("nobody sends before the room is followed")
    unique = Body(body, job.placeholder, job.namespace)
    if job.path == SEND:
        caller = Caller(member.connection, member.send_head, unique, window, counts)
        caller.start()
        return _Sending(log, counts, caller)
    sender = Sender(member.connection, unique, streamed.of_results, window, counts)
    sender.start(Head(job.path, member.token), 1)
    return _Sending(log, counts, sender)


def _totals(sending: Sequence[_Sending]) -> dict[str, Any]:
    answered = [(one.log, one.counts.answered) for one in sending]
    return {
        "answered_in_all": sum(count for _, count in answered),
        "refused": sum(one.counts.refused for one in sending),
        "expected": sum(count * len(log.subscribers) for log, count in answered),
        "delivered": sum(log.delivered for log, _ in answered),
        "lost": sum(log.lost for log, _ in answered),
        "doubled": sum(log.doubled for log, _ in answered),
    }
