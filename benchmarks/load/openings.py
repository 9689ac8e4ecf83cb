"""Subscriptions that are opened, read until they are caught up, and given up: what opening costs."""

import asyncio
import time
from typing import Any

from chatkit.messages.v1 import messages_service_pb2

from benchmarks.load.events import read_start
from benchmarks.load.http2 import Connection, Head, connect
from benchmarks.load.jobs import OpeningsJob
from benchmarks.load.room import SUBSCRIBE
from benchmarks.load.timing import Window


class Opener:
    """Opens one subscription after the other."""

    def __init__(self, connection: Connection, head: Head, body: bytes, window: Window) -> None:
        self._connection = connection
        self._head = head
        self._body = body
        self._window = window
        self._stream = 0
        self._began = 0.0
        self.opened = self.failed = 0
        self.stopped = asyncio.Event()
        self.is_stopping = False

    def open(self) -> None:
        """Open the next one, unless told to stop."""
        if self.is_stopping:
            self.stopped.set()
            return
        self._began = time.monotonic()
        self._stream = self._connection.call(self._head, self._body, self)

    def message(self, payload: bytes) -> None:
        """Take a frame; the one that ends the replay ends the stream."""
        if not read_start(payload)[1]:
            return
        self.opened += 1
        if self._window.is_open:
            self._window.counted += 1
            self._window.durations.append(time.monotonic() - self._began)
        self._connection.cancel(self._stream)
        # Not at once, because the connection is still busy with this frame.
        asyncio.get_running_loop().call_soon(self.open)

    def ended(self) -> None:
        """Count a stream that ended before it was caught up."""
        self.failed += 1
        self.is_stopping = True
        self.stopped.set()


async def run(job: OpeningsJob) -> dict[str, Any]:
    """Open subscriptions for a while."""
    window = Window(job.groups)
    request = messages_service_pb2.SubscribeRoomRequest(room_id=job.room.id, last=job.last)
    head = Head(SUBSCRIBE, job.room.tokens[0])
    opener = Opener(await connect(job.address), head, request.SerializeToString(), window)
    opener.open()
    await asyncio.sleep(job.warm_up_seconds)
    await window.measure(job.seconds)
    opener.is_stopping = True
    await opener.stopped.wait()
    return {**window.report(), "opened_in_all": opener.opened, "refused": opener.failed}
