"""Calls of one user: with the user's token, and repeated where repeating is safe."""

from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message

from chatkit_client.errors import ChatkitError, from_rpc_error
from chatkit_client.methods import encode, method_of
from chatkit_client.retry import Backoff, Clock
from chatkit_client.tokens import Token, Tokens

ATTEMPT_SECONDS = 12.0
DEADLINE_SECONDS = 30.0
_Answer = TypeVar("_Answer")
# Makes one attempt with a token and within so many seconds.
Attempt = Callable[[str, float], Awaitable[_Answer]]


class Line:
    """A connection, which several users may share."""

    def __init__(self, channel: grpc.aio.Channel, clock: Clock) -> None:
        self.clock = clock
        # How often calls were turned away and waited, by reason.
        self.turned_away: Counter[str] = Counter()
        self.is_closed = False
        self._channel = channel
        self._callables: dict[str, Any] = {}

    def open(self, request: Message, token: str, seconds: float | None = None) -> Any:
        """Begin one call of the method that takes this request, which is yet to be written where there are several."""
        method = method_of(request.DESCRIPTOR)
        if method.path not in self._callables:
            make = getattr(self._channel, method.kind)
            self._callables[method.path] = make(
                method.path, request_serializer=encode, response_deserializer=method.decode
            )
        requests = () if method.kind.startswith("stream") else (request,)
        metadata = (("authorization", f"Bearer {token}"),)
        return self._callables[method.path](*requests, metadata=metadata, timeout=seconds)

    async def close(self) -> None:
        """End every call and every stream."""
        self.is_closed = True
        await self._channel.close(None)


class Calls:
    """Calls of one user."""

    def __init__(self, line: Line, token: Token) -> None:
        self.line = line
        self.clock = line.clock
        self.tokens = Tokens(token, clock=line.clock)

    async def call(self, request: Message, *, deadline: float | None = None, repeatable: bool | None = None) -> Any:
        """Call the method that takes this request, and return its response; raises ChatkitError.

        What fails in passing is repeated within `deadline` seconds, if the contract says that the method may be
        repeated (`repeatable` overrules it). A call that was turned away for its rate is repeated in any case.
        """
        method = method_of(request.DESCRIPTOR)

        async def attempt(token: str, seconds: float) -> Any:
            return await self.line.open(request, token, min(seconds, ATTEMPT_SECONDS))

        may_repeat = method.is_repeatable if repeatable is None else repeatable
        return await self.repeat(attempt, deadline=deadline, may_repeat=may_repeat)

    async def stream(
        self, request: Message, *, token: str | None = None, seconds: float | None = None
    ) -> AsyncGenerator[Any, None]:
        """Yield the responses of the method that takes this request, once; raises ChatkitError."""
        call = self.line.open(request, token or await self.tokens.current(), seconds)
        try:
            async for response in call:
                yield response
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from None
        finally:
            call.cancel()

    async def repeat(
        self, attempt: Attempt[_Answer], *, deadline: float | None = None, may_repeat: bool = True
    ) -> _Answer:
        """Return what an attempt returns, made again as long as that may help; raises ChatkitError."""
        end = self.clock.monotonic() + (DEADLINE_SECONDS if deadline is None else deadline)
        backoff = Backoff()
        while True:
            try:
                return await self._attempt(attempt, end)
            except ChatkitError as error:
                if not (error.is_turned_away or (may_repeat and error.is_passing)):
                    raise
                if error.is_turned_away:
                    self.line.turned_away[error.reason or type(error).__name__] += 1
                delay = backoff.next_delay(error.retry_after)
                if self.clock.monotonic() + delay >= end:
                    raise
            await self.clock.sleep(delay)

    async def _attempt(self, attempt: Attempt[_Answer], end: float) -> _Answer:
        token = await self.tokens.current()
        try:
            answer = await self._once(attempt, token, end)
        except ChatkitError as error:
            if not self.tokens.can_replace(token, error):
                raise
        else:
            self.tokens.accept(token)
            return answer
        return await self._once(attempt, await self.tokens.renewed(token), end)

    async def _once(self, attempt: Attempt[_Answer], token: str, end: float) -> _Answer:
        try:
            return await attempt(token, max(0.001, end - self.clock.monotonic()))
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from None
