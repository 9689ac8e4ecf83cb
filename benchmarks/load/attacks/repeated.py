"""Unary calls, or streams that are refused, again and again at a rate, over a connection that is made anew."""

import asyncio
import time
from typing import Any

from benchmarks.load.calls import Body
from benchmarks.load.http2 import Connection, Head, connect
from benchmarks.load.jobs import RepeatedJob
from benchmarks.load.room import spawn

_WARM_UP_SECONDS = 1.0
_PAUSE_SECONDS = 0.05
# More than that are not begun, so that what is slow does not fill this process.
_MOST_UNDER_WAY = 500


class _Call:
    def __init__(self, counts: "Repeated") -> None:
        self._counts = counts
        self._is_answered = False

    def message(self, _payload: bytes) -> None:
        self._is_answered = True

    def ended(self) -> None:
        self._counts.under_way -= 1
        if self._is_answered:
            self._counts.answered += 1
        else:
            self._counts.refused += 1


class Repeated:
    """All the calls."""

    def __init__(self, job: RepeatedJob) -> None:
        self._job = job
        self._began = 0.0
        self.came = self.answered = self.refused = self.under_way = self._held_back = 0

    async def begin(self) -> None:
        """Begin to call."""
        self._began = time.monotonic()
        spawn(self._run())
        await asyncio.sleep(_WARM_UP_SECONDS)

    async def _run(self) -> None:
        job = self._job
        turns = [(Head(one.path, one.token), Body(one.body, job.placeholder, job.namespace)) for one in job.calls]
        connection: Connection | None = None
        turn = 0
        while True:
            await asyncio.sleep(max(0.0, self._began + turn / job.per_second - time.monotonic()))
            if connection is None or not connection.is_open:
                try:
                    connection = await connect(job.address)
                except OSError:
                    await asyncio.sleep(_PAUSE_SECONDS)
                    continue
            head, body = turns[turn % len(turns)]
            turn += 1
            if self.under_way >= _MOST_UNDER_WAY:
                self._held_back += 1
                continue
            self.came += 1
            self.under_way += 1
            connection.call(head, body.next(), _Call(self))

    def found(self) -> dict[str, Any]:
        """Return how many calls were made, how often in a second, and what came of them."""
        seconds = time.monotonic() - self._began
        return {
            "came": self.came,
            "per_second": self.came / seconds if seconds else 0.0,
            "answered": self.answered,
            "refused": self.refused,
            "under_way": self.under_way,
            **({"held_back": self._held_back} if self._held_back else {}),
        }
