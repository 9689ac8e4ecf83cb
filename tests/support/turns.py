"""How much is done in one turn of the event loop: counted, so that no machine is too slow for it."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self


class Turns:
    """Counts what is noted between two turns of the loop, in which a task of its own runs."""

    def __init__(self) -> None:
        self.noted = 0
        # The most that was noted in one turn.
        self.most = 0
        self._in_turn = 0
        self._task: asyncio.Task[None] | None = None

    def note(self, count: int = 1) -> None:
        """Take note that so much was done."""
        self.noted += count
        self._in_turn += count
        self.most = max(self.most, self._in_turn)

    async def until(self, condition: Callable[[], object], most_turns: int = 100_000) -> None:
        """Let turns pass until the condition holds."""
        for _ in range(most_turns):
            if condition():
                return
            await asyncio.sleep(0)
        raise AssertionError("it never came")

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._turn())
        await asyncio.sleep(0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _turn(self) -> None:
        while True:
            self._in_turn = 0
            await asyncio.sleep(0)
