"""The event loop in a thread of its own that all blocking clients of a process share."""

import asyncio
import atexit
import os
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar
from weakref import WeakSet

_Answer = TypeVar("_Answer")
_Item = TypeVar("_Item")
_END = object()
# For how long a thread waits without looking whether somebody has typed Ctrl-C.
_PIECE_SECONDS = 1.0
# How long the end of a program waits for its connections.
_ENDING_SECONDS = 2.0
_starting = threading.Lock()


class Closing(Protocol):
    """What has to be closed in the loop."""

    async def close(self) -> None:
        """Close it."""


class Loop:
    """An event loop, and the thread that runs it for as long as the process lives."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="chatkit-client", daemon=True)
        self._thread.start()
        self._open: WeakSet[Closing] = WeakSet()
        atexit.register(self._end, os.getpid())

    def close_at_exit(self, one: Closing) -> None:
        """Close something when the program ends, if it is there then."""
        self._open.add(one)

    def begin(self, work: Coroutine[Any, Any, _Answer]) -> "Future[_Answer]":
        """Begin what is to be waited for; raises RuntimeError in the thread of the loop, which must not wait."""
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError("a function that a client calls must not wait for the client")
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, _Answer]) -> _Answer:
        """Do it, and return or raise what it does; whatever interrupts the waiting interrupts the work."""
        future = self.begin(work)
        try:
            return awaited(future)
        finally:
            future.cancel()

    def call(self, function: Callable[[], _Answer]) -> _Answer:
        """Call a function in the thread of the loop, and return what it returns."""

        async def called() -> _Answer:
            return function()

        return self.run(called())

    def read(self, function: Callable[[], _Answer]) -> _Answer:
        """Call a function that waits for nothing, in the thread of the loop; it may be called there, too."""
        return function() if threading.current_thread() is self._thread else self.call(function)

    def _end(self, pid: int) -> None:
        """End while Python is whole: when it takes itself apart, gRPC may wait for threads that run no more."""
        if os.getpid() != pid or self._loop.is_closed():
            return
        with suppress(TimeoutError, CancelledError):
            asyncio.run_coroutine_threadsafe(self._close_all(), self._loop).result(_ENDING_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_ENDING_SECONDS)
        if not self._thread.is_alive():
            self._loop.close()

    async def _close_all(self) -> None:
        await asyncio.gather(*(one.close() for one in tuple(self._open)), return_exceptions=True)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


def awaited(future: "Future[_Answer]") -> _Answer:
    """Wait for a future in pieces: Python overlooks a Ctrl-C that comes just as a thread begins to wait."""
    while not future.done():
        with suppress(TimeoutError):
            return future.result(_PIECE_SECONDS)
    return future.result()


_loops: dict[int, Loop] = {}


def shared() -> Loop:
    """Return the loop of this process; after a fork the child has none of its parent's threads."""
    with _starting:
        return _loops.get(os.getpid()) or _loops.setdefault(os.getpid(), Loop())


class Iteration(Generic[_Item]):
    """An iterator over what an async iterator brings; may be closed by another thread than the one that iterates."""

    def __init__(self, loop: Loop, items: AsyncIterator[_Item]) -> None:
        self._loop = loop
        self._items = items
        self._next: Future[Any] | None = None
        self._is_closed = False

    def __iter__(self) -> Iterator[_Item]:
        return self

    def __next__(self) -> _Item:
        if self._is_closed:
            raise StopIteration
        self._next = self._loop.begin(_next(self._items))
        try:
            item: Any = awaited(self._next)
        except CancelledError:
            raise StopIteration from None
        finally:
            self._next.cancel()
        if item is _END:
            raise StopIteration
        return item  # type: ignore[no-any-return]

    def close(self) -> None:
        """End the iteration."""
        self._is_closed = True
        if self._next is not None:
            self._next.cancel()
        with suppress(CancelledError):
            self._loop.run(_close(self._items))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


async def _next(items: AsyncIterator[Any]) -> Any:
    return await anext(items, _END)


async def _close(items: AsyncIterator[Any]) -> None:
    if isinstance(items, AsyncGenerator):
        # What was cancelled may not be out of it yet.
        while getattr(items, "ag_running", False):  # noqa: ASYNC110 - nothing tells it
            await asyncio.sleep(0)
        await items.aclose()
