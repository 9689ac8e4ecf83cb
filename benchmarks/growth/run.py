"""`./chatkit bench growth`: doubles one thing after the other, four times each, and says by which power cost grows."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from benchmarks.figures import Figure, Options
from benchmarks.growth import operations, slopes
from benchmarks.growth.slopes import grown, with_slope
from benchmarks.suite import Say, Suite, running
from services.stack.machine.replicas import ONE_OF_EACH

NAME = slopes.NAME
_SIZES, _QUICK_SIZES = 5, 2
_PAST, _QUICK_PAST = 10_000, 100
REPLICAS = "replicas of messages"
Start = Callable[..., AbstractAsyncContextManager[Suite]]


@dataclass(frozen=True, slots=True)
class Growing:
    """What grows in one suite, from which size on, and what is measured; it is told the size before, too."""

    name: str
    first: int
    quick_first: int
    measure: Callable[[Suite, Options, int, int], Awaitable[Figure]]


# Those that leave much behind come last; rooms come first, because all that follows makes some.
ALL = (
    Growing("rooms in all", 6_250, 250, operations.page_of_rooms),
    Growing("members of a room", 100, 10, operations.send_to_members),
    Growing("subscribers of a room", 25, 5, operations.send_to_subscribers),
    Growing("rooms of a stream", 50, 5, operations.first_start),
    Growing("messages of a room", 6_250, 250, operations.unread_count),
)


async def run(say: Say, options: Options, start: Start = running) -> list[Figure]:
    """Measure everything at every size; replicas need a suite for each, which is started like the first one."""
    past, figures = options.size(_PAST, _QUICK_PAST), []
    async with start(say, past) as suite:
        for growing in ALL:
            figures += await _doubled(suite, options, growing)
        say("stopping")
    found = []
    for size in _sizes(options, 1):
        say(f"{NAME}: {REPLICAS}, {size}")
        async with start(say, past, replicas={**ONE_OF_EACH, "messages": size}) as suite:
            found.append(grown(REPLICAS, size, await operations.send_to_pairs(suite, options, size)))
            say("stopping")
    return [*figures, *with_slope(found)]


async def _doubled(suite: Suite, options: Options, growing: Growing) -> list[Figure]:
    figures, before = [], 0
    for size in _sizes(options, options.size(growing.first, growing.quick_first)):
        suite.say(f"{NAME}: {growing.name}, {size:,}")
        figures.append(grown(growing.name, size, await growing.measure(suite, options, size, before)))
        before = size
    return with_slope(figures)


def _sizes(options: Options, first: int) -> list[int]:
    return [first * 2**number for number in range(options.size(_SIZES, _QUICK_SIZES))]
