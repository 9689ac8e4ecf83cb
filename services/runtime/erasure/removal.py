"""Removing what there is of a subject in small steps, so that no write that was under way brings any of it back."""

from collections.abc import Awaitable, Callable

from services.runtime.clock import Clock
from services.runtime.data.writers import Writers
from services.runtime.deadline import Deadline

_PAUSE_SECONDS = 0.05
# Removes a little and returns how much that was.
RemoveSome = Callable[[], Awaitable[int]]


async def removed_for_good(remove_some: RemoveSome, writers: Writers, until: Deadline) -> bool:
    """Remove everything, once there is a fence that new writes see; False when the time is over before that."""
    # Those who may not have seen it.
    if not await writers.settled(until):
        return False
    while until.left():
        if not await remove_some():
            return True
    return False


async def forgotten(forget: Callable[[], Awaitable[bool]], clock: Clock, until: Deadline) -> bool:
    """Forget until nothing is left that is too young for it; False when the time is over before that."""
    while not await forget():
        if not until.left():
            return False
        await clock.sleep(_PAUSE_SECONDS)
    return True
