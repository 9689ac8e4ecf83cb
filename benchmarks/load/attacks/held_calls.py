"""Calls that are made once and stay open, because nobody reads what they are answered or their message never comes."""

import asyncio
from typing import Any

from benchmarks.load.http2 import Connection, Head, connect
from benchmarks.load.jobs import Asked, HeldCallsJob

# What a client has that chose nothing: most of an answer stays at the edge.
_ORDINARY_WINDOW = 65_535
_SETTLE_SECONDS = 1.0


class HeldCalls:
    """The calls; it is its own receiver."""

    def __init__(self, job: HeldCallsJob) -> None:
        self._job = job
        self._connections: list[Connection] = []
        self._came = self._ended = 0

    async def begin(self) -> None:
        """Make all calls."""
        for asked in self._job.connections:
            connection = await connect(self._job.address, _ORDINARY_WINDOW)
            if not self._job.is_read:
                connection.stop_reading()
            self._connections.append(connection)
            await self._make(connection, asked)
        await asyncio.sleep(_SETTLE_SECONDS)

    async def _make(self, connection: Connection, asked: list[Asked]) -> None:
        heads: dict[tuple[str, str], Head] = {}
        for one in asked:
            head = heads.setdefault((one.path, one.token), Head(one.path, one.token))
            (connection.call if one.is_whole else connection.begin)(head, one.body, self)
            self._came += 1
            await asyncio.sleep(0)

    def message(self, payload: bytes) -> None:
        """Take an answer, which says nothing here."""

    def ended(self) -> None:
        """Count a call that was ended; only those that are read are known to be."""
        self._ended += 1

    def found(self) -> dict[str, Any]:
        """Return how many calls were made and how many were ended."""
        return {"came": self._came, **({"ended": self._ended} if self._job.is_read else {})}
