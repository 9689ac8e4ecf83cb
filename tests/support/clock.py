"""Clocks that a test moves: one that stands still meanwhile, and one that runs until it is told to stand still."""

import asyncio
import heapq
import time
from collections import Counter
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime, timedelta
from unittest.mock import patch

from services.runtime import deadline
from services.runtime.clock import Clock, SystemClock
from tests.support.eventually import eventually


class ManualClock:
    """Time as the test says; whoever sleeps on it wakes when it is moved far enough."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._elapsed = 0.0
        # How far the wall clock is ahead of the time; it may be set while the monotonic one goes on.
        self.ahead = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    def now(self) -> datetime:
        """Return the time in UTC."""
        return self._start + timedelta(seconds=self._elapsed + self.ahead)

    def monotonic(self) -> float:
        """Return the seconds that the test has let pass."""
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock was moved by that much."""
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (self._elapsed + seconds, self._count, woken))
        await woken

    async def advance(self, seconds: float) -> None:
        """Move the clock, waking sleepers in the order of their times."""
        end = self._elapsed + seconds
        while self._sleepers and self._sleepers[0][0] <= end:
            time, _, woken = heapq.heappop(self._sleepers)
            self._elapsed = max(self._elapsed, time)
            if not woken.done():
                woken.set_result(None)
            await _settle()
        self._elapsed = end
        await _settle()

    def jump(self, seconds: float) -> None:
        """Move the clock and wake nobody yet, as if the process had been stopped meanwhile."""
        self._elapsed += seconds


def deadlines_by(clock: Clock) -> AbstractContextManager[object]:
    """Let deadlines come when a clock says so: they know none but the machine's."""
    return patch.object(deadline, "monotonic", clock.monotonic)


async def _settle() -> None:
    """Let those who were woken run as far as they get without waiting for anything outside."""
    for _ in range(20):
        await asyncio.sleep(0)


class LeapingClock:
    """The machine's clock, which a test may also move forward; sleepers notice."""

    def __init__(self) -> None:
        # How many sleeps of each length have begun.
        self.sleeps: Counter[float] = Counter()
        self._leapt = asyncio.Event()
        self._began = (datetime.now(UTC), time.monotonic())
        # The seconds that had passed at a time of the machine, and how fast others pass since then.
        self._passed_by, self._since, self._rate = 0.0, self._began[1], 1.0

    def now(self) -> datetime:
        """Return the time in UTC."""
        return self._began[0] + timedelta(seconds=self._passed())

    def monotonic(self) -> float:
        """Return seconds that pass by themselves and when the clock leaps."""
        return self._began[1] + self._passed()

    def _passed(self) -> float:
        return self._passed_by + (time.monotonic() - self._since) * self._rate

    async def sleep(self, seconds: float) -> None:
        """Wait for that many seconds."""
        self.sleeps[seconds] += 1
        end = self.monotonic() + seconds
        while (left := end - self.monotonic()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(left / self._rate if self._rate else None):
                    await self._leapt.wait()

    def leap(self, seconds: float) -> None:
        """Let time pass at once."""
        self._passed_by += seconds
        leapt, self._leapt = self._leapt, asyncio.Event()
        leapt.set()

    def stop(self) -> None:
        """Let time pass only by leaps from now on."""
        self.pass_at(0)

    def pass_at(self, rate: float) -> None:
        """Let time pass that many times as fast as the machine's from now on."""
        self._passed_by, self._since, self._rate = self._passed(), time.monotonic(), rate
        self.leap(0)

    async def whole_round(self, seconds: float) -> None:
        """Let the only one that sleeps for so long between two rounds of work begin a round and end it.

        The time leaps by two of the sleeps.
        """
        # The first sleep to begin may be the end of a round that began before.
        await self._next_sleep(seconds)
        await self._next_sleep(seconds)

    async def _next_sleep(self, seconds: float) -> None:
        begun = self.sleeps[seconds]
        self.leap(seconds)
        await eventually(lambda: self.sleeps[seconds] > begun)


class WrongClock(SystemClock):
    """The machine's clock, whose wall clock a test may set wrong."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> datetime:
        """Return the time in UTC, as far as this clock knows."""
        return super().now() + timedelta(seconds=self.ahead)
