"""Many messages: on one stream, and on another one where that breaks off."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, suppress
from typing import Any

import grpc

from chatkit_client.calls import DEADLINE_SECONDS, Calls
from chatkit_client.errors import ChatkitError, from_closed, from_failure
from chatkit_client.proto.messages.v1 import messages_service_pb2 as pb2
from chatkit_client.proto.messages.v1 import send_event_pb2, send_result_pb2
from chatkit_client.retry import Backoff
from chatkit_client.sending.by_calls import ByCalls
from chatkit_client.sending.outcomes import Sent
from chatkit_client.streams.stream import Stream


class OnStream:
    """Sends messages one behind the other, and waits for none of them before the next."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        # The token of a stream that has ended with it, or is about to.
        self._expired: str | None = None

    async def send(self, requests: Sequence[pb2.SendMessageRequest]) -> AsyncGenerator[Sent, None]:
        """Yield what became of each, as it becomes known.

        What failed in passing, or has no answer, is sent again until nothing was stored for 30 s, but where a later
        message of its room is there: the order counts more.
        """
        clock, backoff = self._calls.clock, Backoff()
        end = clock.monotonic() + DEADLINE_SECONDS
        left = list(requests)
        while left:
            attempt = _Attempt(left)
            try:
                async with aclosing(self._exchange(attempt)) as outcomes:
                    async for sent in outcomes:
                        yield sent
                        backoff.succeeded()
                        end = clock.monotonic() + DEADLINE_SECONDS
                ending = attempt.failure
            except ChatkitError as error:
                ending = error
            left = attempt.left
            if ending.code is grpc.StatusCode.UNIMPLEMENTED:
                # A suite of the release before has no such stream.
                async for sent in ByCalls(self._calls).send(left):
                    yield sent
                return
            renews = self._expired is not None
            if renews and attempt.has_begun:
                continue
            delay = backoff.next_delay(ending.retry_after)
            helps = (renews or ending.is_resumable) and not self._calls.line.is_closed
            if not helps or clock.monotonic() + delay >= end:
                for sent in attempt.give_up(ending):
                    yield sent
                return
            await clock.sleep(delay)

    async def _exchange(self, attempt: "_Attempt") -> AsyncGenerator[Sent, None]:
        tokens = self._calls.tokens
        token = await (tokens.current() if self._expired is None else tokens.renewed(self._expired))
        self._expired = None
        call = self._calls.line.open(pb2.SendMessagesRequest(), token)
        writing = asyncio.create_task(attempt.write(call))
        try:
            async with aclosing(Stream[send_event_pb2.SendEvent](call, self._calls.clock).events()) as events:
                async for event in events:
                    match event.WhichOneof("event"):
                        case "heartbeat":
                            tokens.accept(token)
                            attempt.start()
                        case "result":
                            for sent in attempt.take(event.number, event.result):
                                yield sent
                        case "token_expiring" if tokens.can_renew:
                            # What was sent is still answered, and then the next stream goes on.
                            self._expired = token
                            attempt.stop()
                        case "closed":
                            raise from_closed(event.closed)
        except ChatkitError as error:
            if tokens.can_replace(token, error):
                self._expired = token
            raise
        finally:
            writing.cancel()
            await asyncio.wait([writing])


class _Attempt:
    """What one stream is to send, and what has become of it."""

    def __init__(self, requests: Sequence[pb2.SendMessageRequest]) -> None:
        self._requests = requests
        # By the places of the requests: those that are to be sent no more, and why others are.
        self._done: set[int] = set()
        self._failed: dict[int, ChatkitError] = {}
        self._started = asyncio.Event()
        self._has_stopped = False

    @property
    def left(self) -> list[pb2.SendMessageRequest]:
        """Those that are to be sent again, in their order."""
        return [one for place, one in enumerate(self._requests) if place not in self._done]

    @property
    def has_begun(self) -> bool:
        """Whether anything is known of any of them."""
        return bool(self._done or self._failed)

    @property
    def failure(self) -> ChatkitError:
        """Why the stream that ended by itself has not sent all."""
        if self._failed:
            return max(self._failed.values(), key=lambda error: error.retry_after or 0.0)
        if self._has_stopped:
            return ChatkitError(grpc.StatusCode.UNAUTHENTICATED, "TOKEN_EXPIRED", "the token is about to end")
        return ChatkitError(grpc.StatusCode.UNAVAILABLE, "", "the stream ended without a reason")

    async def write(self, call: Any) -> None:
        """Send one after the other, and say that nothing more comes."""
        # What is written to a stream that was refused would hide why.
        await self._started.wait()
        # A stream that has ended takes nothing more.
        with suppress(asyncio.InvalidStateError, grpc.RpcError):
            for one in self._requests:
                if self._has_stopped:
                    break
                await call.write(pb2.SendMessagesRequest(requests=[one]))
            await call.done_writing()

    def start(self) -> None:
        """Let messages be sent: the stream is open."""
        self._started.set()

    def stop(self) -> None:
        """Send nothing more."""
        self._has_stopped = True

    def take(self, number: int, result: send_result_pb2.SendResult) -> Iterator[Sent]:
        """Yield what is known by the result of a message, which are counted from 1."""
        place = number - 1
        if not 0 <= place < len(self._requests):
            return
        one = self._requests[place]
        if result.HasField("message"):
            yield from self._give_up_those_before(one.room_id)
            self._done.add(place)
            yield Sent(one, result.message)
            return
        error = from_failure(result.failure)
        if error.is_passing or error.is_turned_away:
            self._failed[place] = error
        else:
            self._done.add(place)
            yield Sent(one, error=error)

    def give_up(self, ending: ChatkitError) -> Iterator[Sent]:
        """Yield the failure of each that is left."""
        for place, one in enumerate(self._requests):
            if place not in self._done:
                yield Sent(one, error=self._failed.get(place, ending))

    def _give_up_those_before(self, room_id: str) -> Iterator[Sent]:
        for place, error in list(self._failed.items()):
            if self._requests[place].room_id == room_id:
                del self._failed[place]
                self._done.add(place)
                yield Sent(self._requests[place], error=error)
