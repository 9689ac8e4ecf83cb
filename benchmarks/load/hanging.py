"""One subscriber of many stops reading while much is sent, is cut off, and makes up for what it missed."""

import asyncio
import time
from contextlib import suppress
from functools import partial
from typing import Any

from chatkit.messages.v1 import messages_service_pb2

from benchmarks.load.fanout import arrival, open_all, start_sending, totals
from benchmarks.load.http2 import connect
from benchmarks.load.jobs import RoomJob
from benchmarks.load.room import Member, RoomLog, Subscriber, spawn
from benchmarks.load.timing import Window
from benchmarks.usage import memory_bytes

# What a client has that chose nothing.
_ORDINARY_WINDOW = 65_535
_SAMPLE_SECONDS = 0.1
_ENOUGH = 700
_PATIENCE_SECONDS = 60.0
_PAGE = 100


async def run(job: RoomJob) -> dict[str, Any]:
    """Measure with everybody reading, then with one who hangs; then let that one read on and page."""
    calm, hanging = Window(job.groups), Window(job.groups)
    room = job.rooms[0]
    log = RoomLog(room.id, calm)
    for token in room.tokens[1:]:
        Subscriber(log, Member(job.address, token))
    await open_all(log.subscribers)
    slow = await _slow_reader(job, calm)
    senders = start_sending(job, [log])
    await asyncio.sleep(job.warm_up_seconds)
    memory = Memory(job.groups)
    spawn(memory.watch())
    began = time.monotonic()
    await calm.measure(job.seconds)
    calm.durations = log.last_deliveries(began, time.monotonic())
    memory.before = dict(memory.highest)
    slow.member.connection.stop_reading()  # type: ignore[union-attr]
    log.window = hanging
    begin = time.monotonic()
    hanging.begin()
    enough = log.last_seq + _ENOUGH
    await asyncio.sleep(job.seconds)
    await _sent(log, enough)
    hanging.end()
    hanging.durations = log.last_deliveries(begin, time.monotonic())
    await senders.stop()
    await arrival([log])
    slow.member.connection.read_on()  # type: ignore[union-attr]
    ending = await _ending(slow)
    read_before = slow.last
    missed = await _page_through(log, slow)
    return {
        "others": len(log.subscribers),
        "calm": calm.report(),
        "hanging": hanging.report(),
        "memory_before": memory.before,
        "memory_highest": memory.highest,
        "ending": ending,
        "hanging_read": read_before,
        "hanging_paged": missed,
        "hanging_lost": log.last_seq - read_before - missed,
        **totals([log]),
    }


class Memory:
    """The highest memory of each group, looked at all along."""

    def __init__(self, groups: dict[str, int]) -> None:
        self._groups = groups
        self.highest = memory_bytes(groups)
        self.before = dict(self.highest)

    async def watch(self) -> None:
        """Look until the job ends."""
        while True:
            await asyncio.sleep(_SAMPLE_SECONDS)
            for name, size in memory_bytes(self._groups).items():
                self.highest[name] = max(self.highest[name], size)


async def _slow_reader(job: RoomJob, window: Window) -> Subscriber:
    room = job.rooms[0]
    apart = RoomLog(room.id, window)
    # It counts for itself and not among the others.
    apart.window = Window(job.groups)
    member = Member(job.address, room.tokens[0], partial(connect, window=_ORDINARY_WINDOW))
    slow = Subscriber(apart, member)
    slow.resumes = False
    await open_all([slow])
    return slow


async def _sent(log: RoomLog, last_seq: int) -> None:
    """Return when so much was sent that no buffer on the way holds it, or when patience is over."""
    changed = asyncio.Event()
    log.on_change = changed.set
    with suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while log.last_seq < last_seq:
                changed.clear()
                await changed.wait()


async def _ending(slow: Subscriber) -> str:
    with suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await slow.cut.wait()
    return slow.endings[0] if slow.endings else "not cut off"


class _Page:
    def __init__(self) -> None:
        self.answer = messages_service_pb2.ListMessagesResponse()
        self.done = asyncio.Event()

    def message(self, payload: bytes) -> None:
        self.answer.ParseFromString(payload)

    def ended(self) -> None:
        self.done.set()


async def _page_through(log: RoomLog, slow: Subscriber) -> int:
    """Read what came after the slow reader's own last seq, and return how much of it was there without a hole."""
    last = slow.last
    while last < log.last_seq:
        request = messages_service_pb2.ListMessagesRequest(
            room_id=log.room_id, direction="DIRECTION_NEWER", from_seq=last, page_size=_PAGE
        )
        page = _Page()
        slow.member.call(slow.member.list_head, request.SerializeToString(), page)
        await page.done.wait()
        seqs = [message.seq for message in page.answer.messages]
        if not seqs or seqs != list(range(last + 1, last + 1 + len(seqs))):
            break
        last = seqs[-1]
    return last - slow.last
