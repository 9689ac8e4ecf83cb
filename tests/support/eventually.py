"""The one place where tests wait for something outside them that tells nobody when it happens."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import grpc

# Longer than anything takes on the slowest machine that does other work as well: only what hangs lasts so long.
HANG_SECONDS = 120.0
_POLL_SECONDS = 0.01
_PASSING = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED}
_Answer = TypeVar("_Answer")


async def eventually(condition: Callable[[], object], seconds: float = HANG_SECONDS) -> None:
    """Return once the condition holds; after so many seconds it is a TimeoutError."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(_POLL_SECONDS)


async def answered(call: Callable[[], Awaitable[_Answer]], seconds: float = HANG_SECONDS) -> _Answer:
    """Repeat a call that may be repeated while others are too slow for it on a slow machine, or it comes too fast."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                return await call()
            except grpc.aio.AioRpcError as error:
                if error.code() not in _PASSING:
                    raise
            await asyncio.sleep(_POLL_SECONDS)


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = HANG_SECONDS) -> float:
    """Return once a condition that has to be asked for holds, and how long it took."""
    began = asyncio.get_running_loop().time()
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(_POLL_SECONDS)
    return asyncio.get_running_loop().time() - began
