"""Unary calls in a closed loop: each caller has a connection of its own, and makes the next call after the answer."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol

from benchmarks.load.http2 import Connection, Head, connect
from benchmarks.load.jobs import CallsJob
from benchmarks.load.timing import Window

# After a refusal a caller waits, so that refusals don't become the load.
_PAUSE_SECONDS = 0.05
_DRAIN_SECONDS = 20.0
_ids = count()


class Body:
    """A request's bytes; what must differ from call to call is a number of sixteen digits in them."""

    def __init__(self, template: bytes, placeholder: bytes, namespace: int) -> None:
        self._parts = template.split(placeholder) if placeholder else [template]
        self._namespace = namespace

    def next(self) -> bytes:
        """Return the bytes of a new request."""
        if len(self._parts) == 1:
            return self._parts[0]
        first, *others = self._parts
        ids = (b"%04x%012x" % (self._namespace, next(_ids)) for _ in others)
        return first + b"".join(unique + part for unique, part in zip(ids, others, strict=True))


@dataclass
class Counts:
    """All calls, those outside the window too."""

    answered: int = 0
    refused: int = 0
    # The last one.
    answer: bytes = b""


class Stopping(Protocol):
    """Whoever makes no other call after what is under way."""

    idle: asyncio.Event


class Caller:
    """One caller and its loop."""

    def __init__(self, connection: Connection, head: Head, body: Body, window: Window, counts: Counts) -> None:
        self._connection = connection
        self._head = head
        self._body = body
        self._window = window
        self._counts = counts
        self._began = 0.0
        self._answered = False
        self._stopping = False
        self.idle = asyncio.Event()

    def start(self) -> None:
        """Make the first call, and one after the other from then on."""
        if self._stopping:
            self.idle.set()
            return
        self._answered = False
        self._began = time.monotonic()
        self._connection.call(self._head, self._body.next(), self)

    def stop(self) -> None:
        """Make no other call after the one that is under way."""
        self._stopping = True

    def message(self, payload: bytes) -> None:
        """Take the answer."""
        self._answered = True
        self._counts.answer = payload

    def ended(self) -> None:
        """Count the call and make the next one."""
        if not self._answered:
            self._counts.refused += 1
            asyncio.get_running_loop().call_later(_PAUSE_SECONDS, self.start)
            return
        self._counts.answered += 1
        if self._window.is_open:
            self._window.counted += 1
            self._window.durations.append(time.monotonic() - self._began)
        self.start()


async def run(job: CallsJob) -> dict[str, Any]:
    """Let all callers call for a while."""
    window, counts = Window(job.groups), Counts()
    callers = [
        Caller(
            await connect(job.address),
            Head(job.path, caller.token),
            Body(caller.body, job.placeholder, job.namespace),
            window,
            counts,
        )
        for caller in job.callers
    ]
    for caller in callers:
        caller.start()
    await asyncio.sleep(job.warm_up_seconds)
    await window.measure(job.seconds)
    for caller in callers:
        caller.stop()
    await drained(callers)
    return {
        **window.report(),
        "answered_in_all": counts.answered,
        "refused": counts.refused,
        "answer": counts.answer,
        "answer_bytes": len(counts.answer),
    }


async def drained(callers: Iterable[Stopping]) -> None:
    """Return when whoever was stopped has had all answers."""
    async with asyncio.timeout(_DRAIN_SECONDS):
        for caller in callers:
            await caller.idle.wait()
