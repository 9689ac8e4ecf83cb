"""What a suite holds while it is checked: memory, descriptors and threads of its processes, and its database."""

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil
import psycopg

from services.stack.chaos.suite import Suite
from services.stack.machine.cluster import DATABASE
from services.stack.machine.recorded import find

_EVERY_SECONDS = 10.0
_MEGABYTE = 1_000_000
# Of the last third of a run beside the third before: more than this is growth. What is started anew holds little at
# first, and caches fill up in the first third.
_FACTOR, _MEGABYTES, _THINGS = 1.1, 16.0, 16.0
# Fewer samples than these tell nothing of growth.
_LEAST_SAMPLES = 30
_DATABASE = """
    SELECT pg_database_size(current_database()), coalesce(sum(n_dead_tup), 0)::bigint,
        coalesce(sum(n_live_tup), 0)::bigint
    FROM pg_stat_user_tables
"""


@dataclass(frozen=True, slots=True)
class Held:
    """What a process holds."""

    megabytes: float
    descriptors: int
    threads: int


@dataclass(frozen=True, slots=True)
class Sample:
    """All of a suite at one time, so many seconds after the beginning."""

    seconds: float
    processes: Mapping[str, Held]
    database_megabytes: float | None = None
    dead_rows: int | None = None
    live_rows: int | None = None


@dataclass
class Growth:
    """Samples of a suite, which go into a file as they are taken, if one is named."""

    suite: Suite
    file: Path | None = None
    samples: list[Sample] = field(default_factory=list)

    async def watch(self) -> None:
        """Take a sample every few seconds, until cancelled."""
        began = time.monotonic()
        while True:
            await asyncio.sleep(_EVERY_SECONDS)
            sample = await asyncio.to_thread(self._take, time.monotonic() - began)
            self.samples.append(sample)
            if self.file is not None:
                with self.file.open("a", encoding="utf-8") as file:
                    file.write(f"{json.dumps(asdict(sample))}\n")

    def _take(self, seconds: float) -> Sample:
        held: dict[str, Held] = {}
        dsn = self.suite.stack.postgres.superuser_dsn
        for running in self.suite.home.state().processes:
            with suppress(psutil.Error):
                if (process := find(running)) is not None:
                    memory = process.memory_info().rss / _MEGABYTE
                    held[running.name] = Held(round(memory, 1), process.num_fds(), process.num_threads())
        with suppress(psycopg.Error), psycopg.connect(dsn, dbname=DATABASE, connect_timeout=2) as connection:
            size, dead, live = connection.execute(_DATABASE).fetchone() or (0, 0, 0)
            return Sample(round(seconds, 1), held, round(size / _MEGABYTE, 1), int(dead), int(live))
        return Sample(round(seconds, 1), held)

    def grown(self) -> list[str]:
        """Say what has grown without an end in sight; nothing where there are too few samples."""
        if len(self.samples) < _LEAST_SAMPLES:
            return []
        third = len(self.samples) // 3
        before, last = _highest(self.samples[third : 2 * third]), _highest(self.samples[2 * third :])
        return [
            f"{name}: {before[name]:,.0f}, and then {now:,.0f}"
            for name, now in sorted(last.items())
            if name in before and now > before[name] * _FACTOR + _slack(name)
        ]

    def told(self) -> list[str]:
        """Say the most that there was in each third of the time."""
        third = len(self.samples) // 3
        parts = [_highest(self.samples[number * third : (number + 1) * third]) for number in range(3)]
        names = sorted({name for part in parts for name in part})
        return [f"{name}: {', '.join(f'{part.get(name, 0):,.0f}' for part in parts)}" for name in names]


def _highest(samples: Sequence[Sample]) -> dict[str, float]:
    highest: dict[str, float] = defaultdict(float)
    for sample in samples:
        for name, value in _values(sample):
            highest[name] = max(highest[name], value)
    return highest


def _values(sample: Sample) -> Iterator[tuple[str, float]]:
    for name, held in sample.processes.items():
        yield f"{name}, MB", held.megabytes
        yield f"{name}, descriptors", held.descriptors
        yield f"{name}, threads", held.threads
    if sample.database_megabytes is not None and sample.dead_rows is not None:
        yield "database, MB", sample.database_megabytes
        yield "dead rows, thousands", sample.dead_rows / 1_000


def _slack(name: str) -> float:
    return _MEGABYTES if name.endswith("MB") else _THINGS
