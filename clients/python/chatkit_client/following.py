"""Streams without end: another one is opened after every ending that is not final."""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from types import TracebackType
from typing import Self

import grpc
from google.protobuf.message import Message

from chatkit_client.calls import Calls
from chatkit_client.errors import ChatkitError, from_closed
from chatkit_client.proto.messages.v1 import room_event_pb2
from chatkit_client.retry import Backoff
from chatkit_client.room_log import Item
from chatkit_client.stream import Stream


class Following(ABC):
    """An async iterator of what streams bring; use it as a context manager to close its stream when you stop."""

    def __init__(self, calls: Calls) -> None:
        # How often a stream was opened.
        self.streams = 0
        self._calls = calls
        self._tokens = calls.tokens
        self._clock = calls.clock
        # The one that the stream was opened with.
        self._token: str | None = None
        self._items = self._follow()

    @abstractmethod
    def _request(self) -> Message:
        """Return what opens a stream where we are."""

    @abstractmethod
    def _begin(self) -> None:
        """Forget what is of the stream before."""

    @abstractmethod
    def _take(self, event: room_event_pb2.RoomEvent) -> AsyncGenerator[Item, None]:
        """Yield what an event brings; raises ChatkitError when the stream is over by it."""

    def __aiter__(self) -> AsyncIterator[Item]:
        return self._items

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._items.aclose()

    async def _follow(self) -> AsyncGenerator[Item, None]:
        backoff = Backoff()
        while True:
            try:
                async with aclosing(self._follow_once()) as items:
                    async for item in items:
                        yield item
                        backoff.succeeded()
            except ChatkitError as ending:
                if not await self._may_resume(ending):
                    raise
                await self._clock.sleep(backoff.next_delay(ending.retry_after))

    async def _may_resume(self, ending: ChatkitError) -> bool:
        if ending.wants_another_token and self._tokens.can_renew:
            await self._tokens.renewed(self._token)
            return True
        return ending.is_resumable

    async def _follow_once(self) -> AsyncGenerator[Item, None]:
        self._token = await self._tokens.current()
        self._begin()
        call = self._calls.open(self._request(), self._token)
        self.streams += 1
        async with aclosing(Stream(call, self._clock).events()) as events:
            async for event in events:
                if event.HasField("closed") and not self._is_of_a_room(event):
                    raise from_closed(event.closed)
                async for item in self._take(event):
                    yield item
        raise ChatkitError(grpc.StatusCode.UNAVAILABLE, "", "the stream ended without a reason")

    def _is_of_a_room(self, _event: room_event_pb2.RoomEvent) -> bool:
        """Tell whether an ending is that of one room of several, and the stream goes on."""
        return False
