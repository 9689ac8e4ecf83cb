"""Clients of an arrangement: what is refused in passing is repeated, and excused, only while replicas are restarted."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message

from chatkit_client import ChatkitError, Client
from chatkit_client.calls import Attempt, Calls, Line
from chatkit_client.retry import SystemClock
from tests.checks.mixed.counts import Counts

_NO_PROXY = (("grpc.enable_http_proxy", 0),)
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Clients:
    """Connects to the edge of an arrangement."""

    address: str
    counts: Counts
    # Whether replicas are restarted meanwhile.
    is_disturbed: bool

    def channel(self) -> grpc.aio.Channel:
        """Return a connection; whoever asks for it closes it."""
        return grpc.aio.insecure_channel(self.address, options=_NO_PROXY)

    def client(self, token: str) -> Client:
        """Return a user's client with a connection of its own; a context manager that closes it."""
        return Client(_Calls(Line(self.channel(), SystemClock()), token, self.counts, is_disturbed=self.is_disturbed))


class _Calls(Calls):
    """Calls that are counted where they are repeated, and where they fail in passing although nothing is restarted."""

    def __init__(self, line: Line, token: str, counts: Counts, *, is_disturbed: bool) -> None:
        super().__init__(line, token)
        self._counts = counts
        self._is_disturbed = is_disturbed

    async def repeat(
        self, attempt: Attempt[_Answer], *, deadline: float | None = None, may_repeat: bool = True
    ) -> _Answer:
        """Return what an attempt returns; one that fails in passing to the end has failed."""
        attempts = 0

        async def counted(token: str, seconds: float) -> _Answer:
            nonlocal attempts
            attempts += 1
            return await attempt(token, seconds)

        try:
            return await super().repeat(counted, deadline=deadline, may_repeat=may_repeat and self._is_disturbed)
        except ChatkitError as error:
            self._note(error)
            raise
        finally:
            self._counts.repeated += max(attempts - 1, 0)

    async def stream(
        self, request: Message, *, token: str | None = None, seconds: float | None = None
    ) -> AsyncGenerator[Any, None]:
        """Yield what a stream brings; only a restart may end it in passing."""
        try:
            async for response in super().stream(request, token=token, seconds=seconds):
                yield response
        except ChatkitError as error:
            if not self._is_disturbed:
                self._note(error)
            raise

    def _note(self, error: ChatkitError) -> None:
        if error.is_passing:
            self._counts.failed.append(f"a client: {error}")
