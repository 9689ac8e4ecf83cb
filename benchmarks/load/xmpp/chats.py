"""Sends into rooms of a peer in which everybody is given everything, each on a connection of their own."""

import asyncio
import time
from typing import Any

from benchmarks.load.fanout import arrival
from benchmarks.load.room import spawn
from benchmarks.load.timing import Window, turns
from benchmarks.load.xmpp.client import Refused, enter
from benchmarks.load.xmpp.jobs import Chat, ChatsJob
from benchmarks.load.xmpp.rooms import Member, RoomLog

_AT_ONCE = 20


class Senders:
    """All who send, in closed loops or at a rate; stops when told."""

    def __init__(self, job: ChatsJob) -> None:
        self._namespace = job.namespace
        self._end = b"'><body>" + b"x" * job.text_bytes + b"</body></message>"
        self._heads = {room.id: f"<message to='{room.id}' type='groupchat' id='b".encode() for room in job.rooms}
        self._count = 0
        self._stopping = False

    def start_loop(self, room_id: str, member: Member) -> None:
        """Send one message after the other."""
        if not self._stopping:
            self._send(room_id, member, time.monotonic(), closed=True)

    async def at_rate(self, pairs: list[tuple[str, Member]], per_second: float) -> None:
        """Send at a rate by turns, whether acknowledgements come or not; what is late counts from when it was due."""
        async for turn, due in turns(per_second):
            # It may have been told to stop meanwhile.
            if self._stopping:
                return
            self._send(*pairs[turn % len(pairs)], due, closed=False)

    def stop(self) -> None:
        """Send nothing more."""
        self._stopping = True

    def _send(self, room_id: str, member: Member, due: float, *, closed: bool) -> None:
        self._count += 1
        number = b"%04x%012x" % (self._namespace, self._count)

        def done() -> None:
            if closed:
                self.start_loop(room_id, member)

        member.send(number, self._heads[room_id] + number + self._end, due, done)


async def run(job: ChatsJob) -> dict[str, Any]:
    """Let senders send for a while, and wait until all of it has arrived."""
    window = Window(job.groups)
    at_once = asyncio.Semaphore(_AT_ONCE)
    logs = await asyncio.gather(*(_entered(job, room, window, at_once) for room in job.rooms))
    senders = _start(job, logs)
    await asyncio.sleep(job.warm_up_seconds)
    begin = time.monotonic()
    await window.measure(job.seconds)
    end = time.monotonic()
    senders.stop()
    await arrival(logs)
    fault = next((log.fault for log in logs if log.fault), "")
    if fault:
        raise Refused(fault)
    if not job.counts_sends:
        window.durations = [duration for log in logs for duration in log.last_deliveries(begin, end)]
    return {**window.report(), **_totals(logs), "sends_per_second": sum(log.sends for log in logs) / window.seconds}


async def _entered(job: ChatsJob, room: Chat, window: Window, at_once: asyncio.Semaphore) -> RoomLog:
    """Let everybody come into a room, one after the other."""
    log = RoomLog(window, counts_sends=job.counts_sends)
    for user in room.users:
        async with at_once:
            Member(log, await enter(job.address, user, room))
    return log


def _start(job: ChatsJob, logs: list[RoomLog]) -> Senders:
    """Begin to send; the last ones who came into a room are those who do."""
    senders = Senders(job)
    named = zip(job.rooms, logs, strict=True)
    pairs = [(room.id, member) for room, log in named for member in log.members[-job.senders :]]
    if job.per_second:
        spawn(senders.at_rate(pairs, job.per_second))
    else:
        for room_id, member in pairs:
            senders.start_loop(room_id, member)
    return senders


def _totals(logs: list[RoomLog]) -> dict[str, Any]:
    acknowledged = sum(len(log.acknowledged) for log in logs)
    return {
        "acknowledged": acknowledged,
        "answered_in_all": acknowledged,
        "refused": 0,
        "expected": sum(len(log.acknowledged) * len(log.members) for log in logs),
        "delivered": sum(log.delivered for log in logs),
        "lost": sum(log.lost for log in logs),
        "doubled": sum(log.doubled for log in logs),
    }
