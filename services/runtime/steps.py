"""Work that grows with what a process holds, in steps between which everything else runs.

How much a step does is counted and not timed, so that it is the same on every machine and a test can tell. What is
counted costs some microseconds; what makes others run in the same turn of the loop counts more.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from typing import Any, TypeVar

Item = TypeVar("Item")

# So many cheap things are about a millisecond.
MOST_AT_ONCE = 250
# What waking a stream counts: its task runs in the next turn, together with all that were woken in this one.
WAKING = 10


class Pace:
    """Lets everything else run whenever so much was done in a row."""

    def __init__(self, most: int = MOST_AT_ONCE) -> None:
        self._most = most
        self._done = 0

    async def did(self, count: int = 1) -> bool:
        """Count what was done; return whether others have run meanwhile."""
        self._done += count
        if self._done < self._most:
            return False
        self._done = 0
        await self._let_others_run()
        return True

    async def _let_others_run(self) -> None:
        await asyncio.sleep(0)


class Leisure:
    """Lets long pieces of work have no more than half of the loop's time, all of them together.

    Whoever makes a client wait anyway, as an opening of a thousand rooms does, then rests after each step for as long
    as that took, and calls of others find the loop free.
    """

    def __init__(
        self,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Coroutine[Any, Any, object]] = asyncio.sleep,
    ) -> None:
        self._now = now
        self._sleep = sleep
        self._free_at = 0.0

    def pace(self, most: int = MOST_AT_ONCE) -> Pace:
        """Return the pace of a piece of work that begins now and awaits nothing but this."""
        return _LeisurelyPace(self, self._now(), most)

    async def rest(self, began: float) -> float:
        """Rest after a step that began then; return when the next one begins."""
        ended = self._now()
        self._free_at = max(began, self._free_at) + 2 * (ended - began)
        await self._sleep(self._free_at - ended)
        return self._now()


class _LeisurelyPace(Pace):
    def __init__(self, leisure: Leisure, began: float, most: int) -> None:
        super().__init__(most)
        self._leisure = leisure
        self._began = began

    async def _let_others_run(self) -> None:
        self._began = await self._leisure.rest(self._began)


class Chores:
    """Does what is put into it in steps, one chore after another: the first step at once where nothing waits."""

    def __init__(self, most: int = MOST_AT_ONCE) -> None:
        self._most = most
        self._waiting: deque[Iterator[int]] = deque()
        self._wake = asyncio.Event()

    def put(self, chore: Iterator[int]) -> None:
        """Do a chore, which yields how much it has done whenever it may be interrupted."""
        self._waiting.append(chore)
        if len(self._waiting) == 1:
            self._step()
        if self._waiting:
            self._wake.set()

    async def run(self) -> None:
        """Do what waits, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                await asyncio.sleep(0)
                self._step()

    def _step(self) -> None:
        done = 0
        while self._waiting and done < self._most:
            count = next(self._waiting[0], None)
            if count is None:
                self._waiting.popleft()
            else:
                done += count


def each(items: Iterable[Item], act: Callable[[Item], object], count: int = 1) -> Iterator[int]:
    """Return the chore of doing something with each of some things."""
    for item in items:
        act(item)
        yield count


def emptied(items: dict[Any, Any]) -> Iterator[int]:
    """Return the chore of forgetting a dictionary: freeing a large one at once takes long, too."""
    while items:
        items.popitem()
        yield 1


def slices(items: Sequence[Item], size: int = MOST_AT_ONCE) -> Iterator[Sequence[Item]]:
    """Return a sequence in parts of at most so many; whoever takes them lets others run between two."""
    return (items[start : start + size] for start in range(0, len(items), size))
