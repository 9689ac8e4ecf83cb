"""The queue of streams in doubt: whether their users may still have what they are sent is asked about each.

A stream is in it once at the most, however often it comes into doubt. What a doubt and an answer do to a stream is its
owner's to say.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

import structlog

from services.runtime.clock import Clock
from services.runtime.contract.errors import ChatkitError

_log = structlog.get_logger()
_Stream = TypeVar("_Stream", bound=Hashable)


class DoubtQueue(Generic[_Stream]):
    """Asks about streams, so many at once; again after a pause about one whose `ask` raised that nobody can tell."""

    def __init__(
        self, ask: Callable[[_Stream], Awaitable[None]], clock: Clock, *, asked_at_once: int, retry_interval: float
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._asked_at_once = asked_at_once
        self._retry_interval = retry_interval
        self._queue: asyncio.Queue[_Stream] = asyncio.Queue()
        self._queued: set[_Stream] = set()

    def put(self, stream: _Stream) -> None:
        """Have a stream asked about; one that is being asked about is asked about once more."""
        if stream not in self._queued:
            self._queued.add(stream)
            self._queue.put_nowait(stream)

    async def run(self) -> None:
        """Ask until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._asked_at_once):
                group.create_task(self._ask_in_turn())

    async def _ask_in_turn(self) -> None:
        while True:
            stream = await self._queue.get()
            # Before it is asked about: a doubt that comes meanwhile needs an answer of its own.
            self._queued.discard(stream)
            try:
                await self._ask(stream)
            except ChatkitError as error:
                _log.info("access_not_asked_again", reason=error.reason)
                self.put(stream)
                await self._clock.sleep(self._retry_interval)
