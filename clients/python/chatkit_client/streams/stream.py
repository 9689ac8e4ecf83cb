"""One stream of events, from its opening to its ending; long silence is an ending too."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, Generic, TypeVar

import grpc

from chatkit_client.errors import ChatkitError, from_rpc_error
from chatkit_client.retry import Clock

HEARTBEAT_SECONDS = 15.0
# Two heartbeats, and what a slow network needs.
DEAD_SECONDS = 2 * HEARTBEAT_SECONDS + 5.0
_Event = TypeVar("_Event")


class Stream(Generic[_Event]):
    """An open call whose responses are frames of events."""

    def __init__(self, call: Any, clock: Clock) -> None:
        self._call = call
        self._clock = clock
        # Since when we wait for the server; None while the events it sent are being processed.
        self._listening_since: float | None = None
        self._is_dead = False

    async def events(self) -> AsyncGenerator[_Event, None]:
        """Yield events until the stream ends; raises ChatkitError unless it ends with OK."""
        watch = asyncio.create_task(self._watch())
        try:
            while (frame := await self._read()) is not None:
                for event in frame.events:
                    yield event
        finally:
            watch.cancel()
            self._call.cancel()

    async def _read(self) -> Any:
        self._listening_since = self._clock.monotonic()
        try:
            frame = await self._call.read()
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            why = f"nothing was heard for {DEAD_SECONDS:g} seconds" if self._is_dead else "the connection was closed"
            raise ChatkitError(grpc.StatusCode.UNAVAILABLE, "", why) from None
        finally:
            self._listening_since = None
        return None if frame is grpc.aio.EOF else frame

    async def _watch(self) -> None:
        left = DEAD_SECONDS
        while left > 0:
            await self._clock.sleep(left)
            since = self._listening_since
            left = DEAD_SECONDS if since is None else since + DEAD_SECONDS - self._clock.monotonic()
        self._is_dead = True
        self._call.cancel()
