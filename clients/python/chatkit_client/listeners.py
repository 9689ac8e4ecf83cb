"""Those who want to be told of something as it happens: functions, and iterators with a bound on what waits."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Generic, TypeVar

_LOGGER = logging.getLogger(__name__)
_Item = TypeVar("_Item")


class Listeners(Generic[_Item]):
    """Everyone who is told."""

    def __init__(self) -> None:
        self._callbacks: list[Callable[[_Item], None]] = []

    def add(self, callback: Callable[[_Item], None]) -> Callable[[], None]:
        """Call a function with every item from the next one on, in the event loop; returns what ends that."""
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback)

    def tell(self, item: _Item) -> None:
        """Tell everyone, also when a function fails."""
        for callback in tuple(self._callbacks):
            try:
                callback(item)
            except Exception:
                _LOGGER.exception("a function that wanted to be told has failed")

    def items(
        self,
        first: Iterable[_Item],
        most: int,
        is_last: Callable[[_Item], bool],
        missed: _Item | None = None,
    ) -> AsyncGenerator[_Item, None]:
        """Iterate over the first items and those that are told from now on, up to the last one.

        At most so many wait for a slow reader: beyond that the oldest are dropped, or, if there is a word for it, all
        of them for `missed`.
        """
        waiting = deque(first)
        moved = asyncio.Event()

        def note(item: _Item) -> None:
            if len(waiting) >= most:
                if missed is None:
                    waiting.popleft()
                else:
                    waiting.clear()
                    waiting.append(missed)
            waiting.append(item)
            moved.set()

        return _items(waiting, moved, is_last, self.add(note))


async def _items(
    waiting: deque[_Item], moved: asyncio.Event, is_last: Callable[[_Item], bool], forget: Callable[[], None]
) -> AsyncGenerator[_Item, None]:
    try:
        while True:
            while waiting:
                item = waiting.popleft()
                yield item
                if is_last(item):
                    return
            moved.clear()
            await moved.wait()
    finally:
        forget()
