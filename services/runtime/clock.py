"""Time as a dependency: whoever waits or compares times is handed a clock, so that tests can move it."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """The three ways in which the suite looks at time."""

    def now(self) -> datetime:
        """Return the wall clock's time in UTC, for people and tokens."""

    def monotonic(self) -> float:
        """Return seconds that never go back, for intervals."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the wall clock's time in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds since some moment, never going back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait for that many seconds."""
        await asyncio.sleep(seconds)
