"""Messages on streams in a closed loop: each caller has a connection and a stream, and sends on after each answer."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from chatkit.messages.v1 import messages_service_pb2

from benchmarks.echo import ECHO_STREAM
from benchmarks.load.calls import Body, Counts, drained
from benchmarks.load.http2 import Connection, Head, connect
from benchmarks.load.jobs import StreamsJob
from benchmarks.load.timing import Window

PATH = "/chatkit.messages.v1.MessagesService/SendMessages"
# Of a frame that has come: how many messages it says were answered, and how many of them were refused.
Answers = Callable[[bytes], tuple[int, int]]


def _of_echo(_frame: bytes) -> tuple[int, int]:
    return 1, 0


def of_results(frame: bytes) -> tuple[int, int]:
    """Count the results in a frame of SendMessages, and the failures among them."""
    events = messages_service_pb2.SendMessagesResponse.FromString(frame).events
    results = [event.result for event in events if event.HasField("result")]
    return len(results), sum(result.HasField("failure") for result in results)


class Sender:
    """One caller and its stream."""

    def __init__(self, connection: Connection, body: Body, answers: Answers, window: Window, counts: Counts) -> None:
        self._connection = connection
        self._body = body
        self._answers = answers
        self._window = window
        self._counts = counts
        self._call = 0
        # When those in flight were sent; all are of one room, so they are answered in their order.
        self._began: deque[float] = deque()
        self._stopping = False
        self.idle = asyncio.Event()

    def start(self, head: Head, in_flight: int) -> None:
        """Open the stream and send the first messages."""
        self._call = self._connection.begin(head, b"", self)
        for _ in range(in_flight):
            self._send()

    def stop(self) -> None:
        """Send nothing after what is in flight."""
        self._stopping = True

    def message(self, payload: bytes) -> None:
        """Take answers, and send as many messages."""
        answered, refused = self._answers(payload)
        self._counts.refused += refused
        self._counts.answered += answered - refused
        self._counts.answer = payload
        now = time.monotonic()
        for _ in range(answered):
            began = self._began.popleft()
            if self._window.is_open:
                self._window.counted += 1
                self._window.durations.append(now - began)
            if not self._stopping:
                self._send()
        if self._stopping and not self._began:
            self.idle.set()

    def ended(self) -> None:
        """Count what has no answer as refused."""
        self._counts.refused += len(self._began)
        self._began.clear()
        self.idle.set()

    def _send(self) -> None:
        self._began.append(time.monotonic())
        self._connection.send(self._call, self._body.next())


async def run(job: StreamsJob) -> dict[str, Any]:
    """Let all callers send for a while."""
    window, counts = Window(job.groups), Counts()
    answers = _of_echo if job.path == ECHO_STREAM else of_results
    senders = []
    for caller in job.callers:
        body = Body(caller.body, job.placeholder, job.namespace)
        sender = Sender(await connect(job.address), body, answers, window, counts)
        sender.start(Head(job.path, caller.token), job.in_flight)
        senders.append(sender)
    await asyncio.sleep(job.warm_up_seconds)
    await window.measure(job.seconds)
    for sender in senders:
        sender.stop()
    await drained(senders)
    return {
        **window.report(),
        "answered_in_all": counts.answered,
        "refused": counts.refused,
        "answer_bytes": len(counts.answer),
    }
