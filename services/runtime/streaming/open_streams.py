"""The open streams of a process: how many there may be, and that none outlives what let it in.

A stream ends at its token's `exp` and when its token's key is revoked, and a subscription when the edge ends that has
brought it. Services' own streams are neither counted nor ended at `exp`, because the suite must not lock itself out and
a service's token lives for a minute only.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from chatkit.contract.v1 import limit_pb2, stream_pb2

from services.runtime.clock import Clock
from services.runtime.contract.errors import (
    ChatkitError,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
    Violation,
    number_of,
)
from services.runtime.contract.policies import Limits
from services.runtime.contract.timestamps import duration
from services.runtime.identity.tokens import Caller
from services.runtime.steps import WAKING, Pace

_TICK_SECONDS = 1.0
_AFTER_OVERLOAD = timedelta(seconds=1)
# How long before its end a token is said to be about to end: this, or a quarter of what it has left now.
_WARNING = timedelta(seconds=60)
_QUARTER = 4

# How a method says goodbye, when its stream is to end with its token or its process.
Goodbye = Callable[[ChatkitError], None]
OnEnd = Callable[[Goodbye], None]


class OpenStream:
    """One stream, from its admission to its end."""

    def __init__(self, caller: Caller, edge: str, clock: Clock, task: "asyncio.Task[object] | None") -> None:
        self.caller = caller
        # The edge that has brought it; empty for none.
        self.edge = edge
        # Why the process ends the stream; whoever carries it out raises this.
        self.error: ChatkitError | None = None
        # True while a response is on its way: gRPC's write must not be cancelled, or the client never gets a status.
        self.is_writing = False
        self._clock = clock
        self._task = task
        self._goodbye: Goodbye | None = None
        self._is_cancelled = False

    @property
    def has_expired(self) -> bool:
        """Whether the token that let the stream in has expired."""
        return self.caller.service is None and self.caller.expire_time <= self._clock.now()

    @property
    def can_go_elsewhere(self) -> bool:
        """Whether it is a subscription that goes on, and whoever reads it can go on with another one."""
        return self._goodbye is not None and self.error is None

    def on_end(self, goodbye: Goodbye) -> None:
        """Leave the ending to the method: it is told why, sends nothing but its last word, and raises the error."""
        self._goodbye = goodbye
        if self.error is not None:
            goodbye(self.error)

    def end(self, error: ChatkitError) -> None:
        """End the stream; the first ending counts."""
        if self.error is not None:
            return
        self.error = error
        if self._goodbye is not None:
            self._goodbye(error)
        elif self._task is not None and not self.is_writing:
            self._is_cancelled = self._task.cancel()

    def check(self) -> None:
        """Raise why the stream must end, if it must and the method does not see to it."""
        if self._goodbye is not None:
            return
        if self.error is None and self.has_expired:
            self.error = expired()
        if self.error is not None:
            raise self.error

    def take_cancellation(self) -> None:
        """Turn a cancellation that `end` alone has made into its error, as asyncio's time-outs do with theirs.

        Raises that error.
        """
        if self._is_cancelled and self._task is not None and self._task.uncancel() == 0 and self.error is not None:
            raise self.error


class Streams:
    """The streams that are open now."""

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self._most_of_user = limits[limit_pb2.LIMIT_STREAMS_PER_USER]
        self._most = limits[limit_pb2.LIMIT_STREAMS_PER_PROCESS]
        self._clock = clock
        self._open: set[OpenStream] = set()
        self._counted = 0
        self._of_user: Counter[str] = Counter()
        self._of_edge: dict[str, set[OpenStream]] = {}

    @property
    def count(self) -> int:
        """How many streams are open, those of services included."""
        return len(self._open)

    @contextmanager
    def open(self, caller: Caller, edge: str = "") -> Iterator[OpenStream]:
        """Count a stream for as long as the context is open; one too many is refused.

        `edge` names the edge that has brought it.
        """
        subject = caller.subject
        if caller.service is None:
            self._check(subject)
        stream = OpenStream(caller, edge, self._clock, asyncio.current_task())
        self._add(stream, 1)
        self._open.add(stream)
        self._of_edge.setdefault(edge, set()).add(stream)
        try:
            yield stream
        except asyncio.CancelledError:
            stream.take_cancellation()
            raise
        finally:
            self._forget(stream)
            self._add(stream, -1)

    async def run(self) -> None:
        """End the streams whose tokens expire, until cancelled."""
        while True:
            await self._clock.sleep(_TICK_SECONDS)
            await _end_those(self._open, lambda stream: stream.has_expired, expired)

    async def end_revoked(self, still_known: Callable[[Caller], bool]) -> None:
        """End the streams of callers whose key is not in force any more."""
        await _end_those(self._open, lambda stream: not still_known(stream.caller), _revoked)

    async def end_of_edge(self, edge: str, error: Callable[[], ChatkitError]) -> int:
        """End the subscriptions that an edge has brought, and return how many; uploads and downloads go on."""
        return await _end_those(self._of_edge.get(edge, ()), lambda stream: stream.can_go_elsewhere, error)

    def _forget(self, stream: OpenStream) -> None:
        self._open.discard(stream)
        of_edge = self._of_edge[stream.edge]
        of_edge.discard(stream)
        if not of_edge:
            del self._of_edge[stream.edge]

    def _check(self, subject: str | None) -> None:
        if subject is not None and self._of_user[subject] >= self._most_of_user:
            raise _too_many_of_user(self._most_of_user)
        if self._counted >= self._most:
            raise Unavailable(
                "OVERLOADED", f"the process has {self._most} streams already", retry_after=_AFTER_OVERLOAD
            )

    def _add(self, stream: OpenStream, count: int) -> None:
        if stream.caller.service is not None:
            return
        self._counted += count
        subject = stream.caller.subject
        if subject is not None:
            self._of_user[subject] += count
            if not self._of_user[subject]:
                del self._of_user[subject]


async def _end_those(
    streams: Iterable[OpenStream], must_end: Callable[[OpenStream], bool], error: Callable[[], ChatkitError]
) -> int:
    pace, ended = Pace(), 0
    for stream in list(streams):
        ends = must_end(stream)
        if ends:
            stream.end(error())
            ended += 1
        await pace.did(WAKING if ends else 1)
    return ended


def closed(error: ChatkitError) -> stream_pb2.StreamClosed:
    """Return a stream's last word: why it ends."""
    return stream_pb2.StreamClosed(
        code=error.code.value[0], reason=number_of(error.reason), retry_after=duration(error.retry_after)
    )


def warning_time(caller: Caller, now: datetime) -> datetime:
    """Return when a stream that lives by the caller's token should say that it is about to end."""
    return caller.expire_time - min(_WARNING, (caller.expire_time - now) / _QUARTER)


def spread_delay() -> timedelta:
    """Return a delay that keeps clients from coming back all at once."""
    return timedelta(milliseconds=random.randint(50, 1_000))


def expired() -> Unauthenticated:
    """Return the error with which a stream ends at its token's `exp`."""
    return _with_a_new_token("TOKEN_EXPIRED", "the token has expired: a new stream with a new token goes on")


def _revoked() -> Unauthenticated:
    return _with_a_new_token(
        "TOKEN_INVALID", "the key that signed the token was revoked: a new stream with a token of another goes on"
    )


def _with_a_new_token(reason: str, message: str) -> Unauthenticated:
    """Return an error that says that subscribing again helps, and at once."""
    return Unauthenticated(reason, message, retry_after=timedelta())


def _too_many_of_user(most: int) -> ResourceExhausted:
    description = f"a user has at most {most} streams at one process, and this would make {most + 1}"
    return ResourceExhausted(
        "QUOTA_EXCEEDED",
        description,
        metadata={"limit": "STREAMS_PER_USER", "maximum": str(most), "actual": str(most + 1)},
        quota=[Violation("STREAMS_PER_USER", description)],
    )
