"""The places of a process that uploads and downloads take: shared evenly, and held only by those who move bytes.

Each place is of a key, an upload's owner or a download's file. The counts are right at once: whoever is ended holds no
place any more, also where its clean-up still goes on.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from services.runtime.clock import Clock
from services.runtime.contract.errors import ChatkitError, DeadlineExceeded, Unavailable

TICK_SECONDS = 1.0
_SOON = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many places there are, and how long whoever holds one may keep us waiting."""

    most: int
    most_of_key: int
    # Seconds that we wait beyond those that the bytes need which have been moved.
    patience: float
    bytes_per_second: int


class Place:
    """One transfer's place, from its beginning to its end."""

    def __init__(self, key: UUID, bounds: Bounds, clock: Clock) -> None:
        self.key = key
        # Why the transfer ends, if it must: raised where it waits for the other side, and nowhere else.
        self.error: ChatkitError | None = None
        self._bounds = bounds
        self._clock = clock
        # The seconds for which we still wait. Bytes bring some back, and never more than there were at first: else a
        # fast beginning would buy hours.
        self._seconds = bounds.patience
        # Who waits for the other side now, and since when that was not counted.
        self._waiter: asyncio.Task[object] | None = None
        self._since = 0.0
        self._is_cancelled = False

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Wait for the other side: only what happens in this context is counted, and can be cut short."""
        self.check()
        self._waiter, self._since = asyncio.current_task(), self._clock.monotonic()
        try:
            yield
        except asyncio.CancelledError:
            self._take_cancellation()
            raise
        finally:
            self._count()
            self._waiter = None

    def moved(self, size_bytes: int) -> None:
        """Count bytes that have come, or were taken."""
        earned = size_bytes / self._bounds.bytes_per_second
        self._seconds = min(self._seconds + earned, self._bounds.patience)

    def check(self) -> None:
        """Raise why the transfer must end, if it must."""
        if self.error is not None:
            raise self.error

    def end(self, error: ChatkitError) -> None:
        """End the transfer: now if it waits for the other side, else when it would next; the first ending counts."""
        if self.error is None:
            self.error = error
            if self._waiter is not None:
                self._is_cancelled = self._waiter.cancel()

    def tick(self) -> None:
        """End the transfer if it has waited for too long."""
        if self._waiter is not None:
            self._count()
            if self._seconds <= 0:
                self.end(_too_slow(self._bounds))

    def _count(self) -> None:
        now = self._clock.monotonic()
        # Whatever takes longer than a tick is our own doing: the loop was busy, or the process stopped.
        self._seconds -= min(now - self._since, TICK_SECONDS)
        self._since = now

    def _take_cancellation(self) -> None:
        """Turn a cancellation that `end` alone has made into its error, as asyncio's time-outs do with theirs."""
        if self._is_cancelled and self._waiter is not None and self._waiter.uncancel() == 0:
            self.check()


class Places:
    """The places that are taken now."""

    def __init__(self, name: str, clock: Clock, bounds: Bounds, too_many_of_key: Callable[[int], ChatkitError]) -> None:
        self._name = name
        self._clock = clock
        self._bounds = bounds
        self._too_many_of_key = too_many_of_key
        # Of each key, from the oldest to the newest.
        self._taken: dict[UUID, list[Place]] = {}

    @property
    def count(self) -> int:
        """How many places are taken."""
        return sum(map(len, self._taken.values()))

    @contextmanager
    def held(self, key: UUID) -> Iterator[Place]:
        """Hold a place for as long as the context is open.

        When none is left, the key that has the most gives its newest one to a key that has fewer, by two or more. The
        newest has done least, so it loses least by beginning again. Where nobody has so many, it is OVERLOADED.
        """
        place = self._take(key)
        try:
            yield place
        finally:
            self._let_go(place)

    async def run(self) -> None:
        """End those who move too little, until cancelled."""
        while True:
            await self._clock.sleep(TICK_SECONDS)
            for places in self._taken.values():
                for place in places:
                    place.tick()

    def _take(self, key: UUID) -> Place:
        own = len(self._taken.get(key, ()))
        if own >= self._bounds.most_of_key:
            raise self._too_many_of_key(self._bounds.most_of_key)
        if self.count >= self._bounds.most:
            self._make_room(own)
        place = Place(key, self._bounds, self._clock)
        self._taken.setdefault(key, []).append(place)
        return place

    def _make_room(self, own: int) -> None:
        most = max(self._taken.values(), key=len)
        if len(most) < own + 2:
            raise overloaded(f"the process has {self._bounds.most} {self._name} already")
        newest = most[-1]
        self._let_go(newest)
        newest.end(overloaded(f"the process has too many {self._name}, and others had fewer of them: try again"))

    def _let_go(self, place: Place) -> None:
        places = self._taken.get(place.key, [])
        if place in places:
            places.remove(place)
            if not places:
                del self._taken[place.key]


def overloaded(message: str) -> Unavailable:
    """Return the error for a transfer for which there is no place now."""
    return Unavailable("OVERLOADED", message, retry_after=_SOON)


def _too_slow(bounds: Bounds) -> DeadlineExceeded:
    pace, patience = bounds.bytes_per_second, bounds.patience
    return DeadlineExceeded(
        "DEADLINE_EXCEEDED",
        f"the content must move at {pace} bytes per second or more, and was waited for {patience:g} s beyond that",
        metadata={"limit": "TRANSFER_BYTES_PER_SECOND", "minimum": str(pace)},
    )
