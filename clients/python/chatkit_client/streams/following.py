"""Streams without end: another one is opened after every ending that is not final."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import grpc
from google.protobuf.message import Message

from chatkit_client.calls import Calls
from chatkit_client.connection import Connection, ConnectionStatus
from chatkit_client.errors import ChatkitError, from_closed
from chatkit_client.proto.messages.v1 import room_event_pb2
from chatkit_client.proto.rooms.v1 import user_event_pb2
from chatkit_client.proto.sync.v1 import sync_event_pb2
from chatkit_client.proto.users.v1 import presence_event_pb2
from chatkit_client.retry import Backoff
from chatkit_client.streams.stream import Stream

EventT = TypeVar(
    "EventT",
    room_event_pb2.RoomEvent,
    user_event_pb2.UserEvent,
    presence_event_pb2.PresenceEvent,
    sync_event_pb2.SyncEvent,
)
ItemT = TypeVar("ItemT")


class Following(ABC, Generic[EventT, ItemT]):
    """An async iterator of what streams bring; use it as a context manager to close its stream when you stop.

    `connection` tells how it stands with the stream, as of the last item that was asked for.
    """

    def __init__(self, calls: Calls) -> None:
        # How often a stream was opened.
        self.streams = 0
        self.connection = Connection()
        self._calls = calls
        self._tokens = calls.tokens
        self._clock = calls.clock
        # The open call, if there is one.
        self._call: Any = None
        # The token of the stream, and one that is good no longer.
        self._token: str | None = None
        self._expired: str | None = None
        self._items = self._follow()

    @abstractmethod
    def _request(self) -> Message:
        """Return what opens a stream where we are."""

    @abstractmethod
    def _take(self, event: EventT) -> AsyncGenerator[ItemT, None]:
        """Yield what an event brings; raises ChatkitError when the stream is over by it."""

    def _begin(self) -> None:
        """Forget what is of the stream before."""

    def _is_of_a_room(self, _event: EventT) -> bool:
        """Tell whether an event is about one room of several, and not about the stream."""
        return False

    def __aiter__(self) -> AsyncIterator[ItemT]:
        return self._items

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the stream; nothing more is yielded."""
        await self._items.aclose()
        self.connection.become(ConnectionStatus.CLOSED)

    def _break(self) -> None:
        """End the stream that is open, as if the connection was lost; another one follows."""
        if self._call is not None:
            self._call.cancel()

    async def _follow(self) -> AsyncGenerator[ItemT, None]:
        backoff = Backoff()
        why: ChatkitError | None = None
        try:
            while True:
                self.connection.become(ConnectionStatus.CONNECTING, why)
                try:
                    async with aclosing(self._follow_once()) as items:
                        async for item in items:
                            yield item
                            backoff.succeeded()
                    why = ChatkitError(grpc.StatusCode.UNAVAILABLE, "", "the stream ended without a reason")
                except ChatkitError as ending:
                    why = ending
                if self._calls.line.is_closed:
                    return
                await self._before_the_next(why, backoff)
        except ChatkitError as ending:
            self.connection.become(ConnectionStatus.CLOSED, ending)
            raise
        finally:
            self.connection.become(ConnectionStatus.CLOSED)

    async def _before_the_next(self, ending: ChatkitError, backoff: Backoff) -> None:
        """Return when another stream is to be opened; raises the ending if it is final."""
        if self._tokens.can_replace(self._token, ending):
            self._expired = self._token
            if self.connection.is_live:
                return
        elif not ending.is_resumable:
            raise ending
        delay = backoff.next_delay(ending.retry_after)
        self.connection.become(ConnectionStatus.LOST, ending, delay)
        await self._clock.sleep(delay)

    async def _follow_once(self) -> AsyncGenerator[ItemT, None]:
        self._token = await self._good_token()
        self._begin()
        self._call = self._calls.line.open(self._request(), self._token)
        self.streams += 1
        keeping = asyncio.create_task(self._keep_token())
        try:
            async with aclosing(Stream[EventT](self._call, self._clock).events()) as events:
                async for event in events:
                    if not self._is_of_a_room(event):
                        self._see(event)
                    async for item in self._take(event):
                        yield item
        finally:
            keeping.cancel()

    async def _keep_token(self) -> None:
        """Have a token that is good, as long as the stream is open."""
        await self._tokens.keep()

    async def _good_token(self) -> str:
        if self._expired is None:
            return await self._tokens.current()
        token = await self._tokens.renewed(self._expired)
        self._expired = None
        return token

    def _see(self, event: EventT) -> None:
        """Learn how it stands with the stream; raises ChatkitError when it ends."""
        if event.HasField("opened"):
            self._tokens.accept(self._token)
            self.connection.become(ConnectionStatus.LIVE)
        elif event.HasField("closed"):
            raise from_closed(event.closed)
