"""The measured window: what was counted in it, how long calls took, and what the processes used meanwhile."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from benchmarks.usage import CpuMeter

_MILLISECONDS = 1_000.0
_GENERATOR = "generator"


def percentile(sorted_values: list[float], share: float) -> float:
    """Return the value below which that share of the values lies; 0 when there are none."""
    if not sorted_values:
        return 0.0
    return sorted_values[min(len(sorted_values) - 1, int(share * len(sorted_values)))]


def milliseconds(seconds: list[float]) -> dict[str, float]:
    """Summarize durations."""
    ordered = sorted(seconds)
    return {
        "p50_ms": percentile(ordered, 0.5) * _MILLISECONDS,
        "p99_ms": percentile(ordered, 0.99) * _MILLISECONDS,
        "max_ms": (ordered[-1] if ordered else 0.0) * _MILLISECONDS,
    }


@dataclass
class Window:
    """What happens between `begin` and `end`, beside what is counted all along."""

    groups: Mapping[str, int]
    is_open: bool = False
    durations: list[float] = field(default_factory=list)
    counted: int = 0
    seconds: float = 0.0
    cpu: dict[str, float] = field(default_factory=dict)
    _began: float = 0.0
    _meter: CpuMeter | None = None
    _own_before: float = 0.0

    async def measure(self, seconds: float) -> None:
        """Hold the window open for so long."""
        self.begin()
        await asyncio.sleep(seconds)
        self.end()

    def begin(self) -> None:
        """Open the window."""
        self._meter = CpuMeter(self.groups)
        self._meter.begin()
        self._own_before = time.process_time()
        self._began = time.monotonic()
        self.is_open = True

    def end(self) -> None:
        """Close the window."""
        if self._meter is None:
            raise RuntimeError("the window was not opened")
        self.is_open = False
        self.seconds = time.monotonic() - self._began
        own = time.process_time() - self._own_before
        self.cpu = {**self._meter.end(), _GENERATOR: own}

    def report(self) -> dict[str, Any]:
        """Return what was measured."""
        return {
            "seconds": self.seconds,
            "count": self.counted,
            "per_second": self.counted / self.seconds if self.seconds else 0.0,
            "cpu_seconds": self.cpu,
            **milliseconds(self.durations),
        }


async def turns(per_second: float) -> AsyncIterator[tuple[int, float]]:
    """Yield the number of each turn and when it was due, as soon as it is; what is late comes at once."""
    began = time.monotonic()
    for turn in count():
        due = began + turn / per_second
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        yield turn, due
