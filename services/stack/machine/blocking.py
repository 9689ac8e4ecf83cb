"""Work that blocks, in a thread."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

_Result = TypeVar("_Result")


async def to_its_end(work: Callable[[], _Result]) -> _Result:
    """Run blocking work in a thread; a cancellation waits for it, because nothing can interrupt it halfway."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        with suppress(Exception):
            await task
        raise
