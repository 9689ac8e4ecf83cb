"""The life of a process: the parts that run in its background, and the order in which all of it ends."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from services.runtime.clock import Clock
from services.runtime.process.readiness import Readiness

_log = structlog.get_logger()


class Lifetime:
    """Runs the parts of a process until it is told to stop; where one of them dies, the process should end."""

    def __init__(self, readiness: Readiness, clock: Clock, drain_seconds: float) -> None:
        # Set when a part has died.
        self.failed = asyncio.Event()
        self._readiness = readiness
        self._clock = clock
        self._drain_seconds = drain_seconds
        self._drains: list[Callable[[], None]] = []
        self._stops: list[Callable[[], Awaitable[None]]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_stopping = False

    def run(self, name: str, work: Awaitable[None]) -> None:
        """Run a part in the background until the process ends; its death turns health off and ends the process."""

        async def supervised() -> None:
            try:
                await work
            except Exception as error:  # noqa: BLE001 - whatever it was, the part is dead
                # First what ends the process, and the telling last: nothing that fails here may keep it alive.
                self.failed.set()
                await self._readiness.break_down(name)
                _log.error("task_failed", task=name, exc_info=error)

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if not self._is_stopping and (task.cancelled() or task.exception() is not None):
                # Also one that somebody cancelled whom nobody had told to: it is as dead as the others.
                self.failed.set()
            if asyncio.iscoroutine(work):
                # A process that can't listen ends before its parts have begun; Python would complain of them.
                work.close()

        task = asyncio.create_task(supervised(), name=name)
        self._tasks.add(task)
        task.add_done_callback(ended)

    def on_drain(self, end_streams: Callable[[], None]) -> None:
        """Call this when the process was told to stop, before open calls are waited for."""
        self._drains.append(end_streams)

    def on_stop(self, end_calls: Callable[[], Awaitable[None]]) -> None:
        """Await this when the process was told to stop: it refuses new calls, and waits for those that are open."""
        self._stops.append(end_calls)

    async def drain(self) -> None:
        """Say NOT_SERVING and serve on until callers have gone elsewhere.

        gRPC cancels what arrives in the moment in which it stops: who is still called then answers CANCELLED.
        """
        await self._readiness.drain()
        await self._clock.sleep(self._drain_seconds)

    async def stop(self) -> None:
        """Say NOT_SERVING, end the streams, refuse new calls and wait for open ones, end the parts."""
        self._is_stopping = True
        await self._readiness.drain()
        for end_streams in self._drains:
            end_streams()
        await asyncio.gather(*(end_calls() for end_calls in self._stops))
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
