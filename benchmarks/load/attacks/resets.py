"""Calls that are begun and taken back at once, as fast as it goes, over a few connections."""

import asyncio
import time
from typing import Any

from benchmarks.load.http2 import Head, greeting, taken_back
from benchmarks.load.jobs import ResetsJob
from benchmarks.load.room import spawn

_WARM_UP_SECONDS = 0.5
_AT_ONCE = 50
_WINDOW = 65_535
# Numbers of streams end there.
_LAST_STREAM = 2**31 - 1 - 2 * _AT_ONCE


class Resets:
    """All the connections; one that is closed is made anew."""

    def __init__(self, job: ResetsJob) -> None:
        self._job = job
        self._head = Head(job.asked.path, job.asked.token)
        self._began = 0.0
        self._came = self._closed = self._turned_away = 0

    async def begin(self) -> None:
        """Begin."""
        self._began = time.monotonic()
        for _ in range(self._job.connections):
            spawn(self._run())
        await asyncio.sleep(_WARM_UP_SECONDS)

    async def _run(self) -> None:
        host, _, port = self._job.address.rpartition(":")
        while True:
            try:
                reader, writer = await asyncio.open_connection(host, int(port))
            except OSError:
                self._turned_away += 1
                await asyncio.sleep(0.01)
                continue
            reading = asyncio.create_task(_read_on(reader))
            try:
                await self._reset_on(writer, reading)
            except OSError:
                pass
            finally:
                self._closed += 1
                reading.cancel()
                writer.close()

    async def _reset_on(self, writer: asyncio.StreamWriter, reading: "asyncio.Task[None]") -> None:
        writer.write(greeting(_WINDOW) + taken_back(self._head.first, 1, 1))
        stream = 3
        while stream < _LAST_STREAM and not reading.done():
            writer.write(taken_back(self._head.indexed, stream, _AT_ONCE))
            await writer.drain()
            stream += 2 * _AT_ONCE
            self._came += _AT_ONCE
            await asyncio.sleep(0)

    def found(self) -> dict[str, Any]:
        """Return how many calls were begun, how often in a second, and how often a connection was closed."""
        seconds = time.monotonic() - self._began
        return {
            "came": self._came,
            "per_second": self._came / seconds if seconds else 0.0,
            "closed": self._closed,
            "turned_away": self._turned_away,
        }


async def _read_on(reader: asyncio.StreamReader) -> None:
    try:
        while await reader.read(65_536):
            pass
    except OSError:
        return
