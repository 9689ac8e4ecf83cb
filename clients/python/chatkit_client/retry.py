"""When to try again: what the suite asks for, and beyond that longer and longer, never all clients at once."""

import asyncio
import random
import time
from collections.abc import Callable
from typing import Protocol

_FIRST_SECONDS = 0.25
_MOST_SECONDS = 8.0


class Clock(Protocol):
    """The two ways in which the client looks at time, so that tests can move it."""

    def monotonic(self) -> float:
        """Return seconds that never go back."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""


class SystemClock:
    """The machine's clock."""

    def monotonic(self) -> float:
        """Return seconds since some moment, never going back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait for that many seconds."""
        await asyncio.sleep(seconds)


class Backoff:
    """How long to wait before each attempt after a failed one."""

    def __init__(self, scatter: Callable[[], float] = random.random) -> None:
        # Returns a number from 0 to 1.
        self._scatter = scatter
        self._failures = 0

    def succeeded(self) -> None:
        """Begin again with the shortest wait."""
        self._failures = 0

    def next_delay(self, retry_after: float | None) -> float:
        """Return the seconds to wait now: never less than was asked for, and scattered above that."""
        longest = min(_MOST_SECONDS, _FIRST_SECONDS * 2.0 ** min(self._failures, 16))
        self._failures += 1
        return (retry_after or 0.0) + longest * (1 + self._scatter()) / 2
