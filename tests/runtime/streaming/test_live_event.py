"""How old events were when a queue gave them away: one age a frame, of live events alone."""

from collections.abc import AsyncIterator
from datetime import timedelta

from services.runtime.metrics.distribution import Distribution
from services.runtime.streaming.event_queue import EventQueue
from services.runtime.streaming.live_event import LiveEvent
from tests.support.clock import ManualClock


class _Read:
    """A queue, and the ages that were told of what was read from it."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.ages = Distribution([1, 2, 4])
        self.queue = EventQueue(None, self.clock)
        self.queue.open(0, [])
        self._frames: AsyncIterator[bytes] = self.queue.frames()

    def made(self, seconds_ago: float) -> LiveEvent:
        """Return an event that was made so long ago."""
        return LiveEvent(self.clock.now() - timedelta(seconds=seconds_ago), self.ages, 2.0)

    async def frame(self) -> bytes:
        """Take a frame."""
        return await anext(self._frames)


async def test_the_oldest_live_event_of_a_frame_is_told_once() -> None:
    read = _Read()
    read.queue.push(1, b"a")
    read.queue.push(2, b"b", live=read.made(1))
    read.queue.push(3, b"c", live=read.made(0.5))
    read.clock.jump(2)
    assert await read.frame() == b"abc"
    assert (read.ages.counts, read.ages.sum) == ([0, 0, 1, 0], 3)


async def test_what_is_replayed_has_no_age() -> None:
    read = _Read()
    read.queue.begin([(1, b"old")])
    read.queue.push(0, b"beat")
    assert await read.frame() == b"oldbeat"
    assert sum(read.ages.counts) == 0


async def test_an_event_of_the_future_is_new_and_one_of_another_age_is_not_counted() -> None:
    read = _Read()
    read.made(-5).taken(read.clock.now())
    read.made(3601).taken(read.clock.now())
    read.made(3600).taken(read.clock.now())
    assert (read.ages.counts, read.ages.sum) == ([1, 0, 0, 1], 3600)
