"""Reads that piled up while another was under way are one: 2,000 streams that open at once make few."""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Coroutine
from typing import Any, Generic, TypeVar

from services.runtime.contract.errors import ChatkitError
from services.runtime.data.database import unbroken

Key = TypeVar("Key")
Answer = TypeVar("Answer")

_MOST_KEYS = 10_000


class CoalescedReads(Generic[Key, Answer]):
    """Asks for many callers at once; each gets the whole answer and takes what is its own."""

    def __init__(
        self, read: Callable[[Collection[Key]], Coroutine[Any, Any, Answer]], *, most_keys: int = _MOST_KEYS
    ) -> None:
        self._read = read
        self._most_keys = most_keys
        self._waiting: deque[tuple[Collection[Key], asyncio.Future[Answer]]] = deque()
        self._wake = asyncio.Event()

    async def ask(self, keys: Collection[Key]) -> Answer:
        """Return an answer that covers the keys, and that was read after this was called."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((keys, answer))
        self._wake.set()
        return await answer

    async def run(self) -> None:
        """Answer until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                await self._answer()

    async def _answer(self) -> None:
        keys, asking = self._take()
        try:
            answer = await unbroken(self._read(keys))
        except ChatkitError as error:
            for future in asking:
                if not future.done():
                    future.set_exception(error)
            return
        for future in asking:
            # Whoever has gone does not want it any more.
            if not future.done():
                future.set_result(answer)

    def _take(self) -> tuple[set[Key], list[asyncio.Future[Answer]]]:
        keys: set[Key] = set()
        asking: list[asyncio.Future[Answer]] = []
        while self._waiting and (not keys or len(keys) + len(self._waiting[0][0]) <= self._most_keys):
            wanted, future = self._waiting.popleft()
            if not future.done():
                keys.update(wanted)
                asking.append(future)
        return keys, asking
