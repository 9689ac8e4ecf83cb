"""What other services tell all devices of this process on one stream: a feed.

Whatever becomes of the other service, followers stay: each feed that is opened anew follows all of them again, from
where they stand. Until then they are not told anything, and `is_current` says so.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from datetime import timedelta
from typing import Any, Protocol

import structlog

from services.runtime.access.cache import PeerTime
from services.runtime.clock import Clock
from services.runtime.contract.errors import ChatkitError, unavailable_peer
from services.runtime.peers.peer import ExchangeCall, Peer
from services.runtime.steps import WAKING, Pace
from services.runtime.streaming.feed import error_of

_log = structlog.get_logger()
# What one request has at the most, before the one after it is begun.
_REQUEST_BYTES, _MOST_OF_REQUEST = 256 * 1024, 500
# How old the last proof may be that all was told.
_LATELY_SECONDS = 5.0
# How long a change waits for its answer.
_CHANGE_SECONDS = 3.0


class Follower(Protocol):
    """One device on a feed."""

    def request(self, number: int) -> Any:
        """Return what asks the feed to follow from where the device stands."""

    def told(self, event: Any) -> None:
        """Take what the feed tells the device."""

    def interrupted(self) -> None:
        """Hear that the feed is to be opened anew."""

    def refused(self, error: ChatkitError) -> bool:
        """Hear that the follower has ended; tell whether to follow again."""


class Feed:
    """One feed of another service, and the devices of this process that are on it.

    `request` is the class of its requests, which have `follow`, `leave` and, where what is followed changes, `change`.
    """

    def __init__(
        self,
        peer: Peer,
        method: ExchangeCall[Any, Any],
        request: Callable[[], Any],
        clock: Clock,
        *,
        retry_interval: float,
    ) -> None:
        self._peer = peer
        self._method = method
        self._request = request
        self._clock = clock
        self._retry_interval = retry_interval
        self._numbers = 0
        self._followers: dict[int, Follower] = {}
        self._number_of: dict[Follower, int] = {}
        # What is still to be asked for, and those who are asked for again at a moment.
        self._to_follow: deque[int] = deque()
        self._changes: deque[Any] = deque()
        self._to_leave: list[int] = []
        self._later: deque[tuple[float, int]] = deque()
        self._answers: dict[int, asyncio.Future[None]] = {}
        self._wake = asyncio.Event()
        # How often the feed was opened: what gRPC has still of the requests of an earlier one takes nothing more.
        self._openings = 0
        self._is_open = False
        self._complete_at = float("-inf")
        # Where all stood who had caught up when it was told, for feeds that say so.
        self.position: Any = None

    @property
    def is_current(self) -> bool:
        """Whether everything up to a moment ago was told to those who follow."""
        return self._is_open and self._clock.monotonic() - self._complete_at <= _LATELY_SECONDS

    def follow(self, follower: Follower) -> None:
        """Tell a device from now on, until it leaves."""
        self._numbers += 1
        self._followers[self._numbers] = follower
        self._number_of[follower] = self._numbers
        self._to_follow.append(self._numbers)
        self._wake.set()

    def leave(self, follower: Follower) -> None:
        """Tell a device nothing more; one that has ended, or was never there, is none."""
        number = self._number_of.pop(follower, None)
        if number is not None:
            del self._followers[number]
            self._to_leave.append(number)
            self._wake.set()

    async def change(self, follower: Follower, change: Any) -> None:
        """Change what a device follows. Raises why it can't be, SERVICE_UNAVAILABLE when there is no answer."""
        number = self._number_of.get(follower)
        if number is None or not self._is_open:
            raise unavailable_peer(self._peer.name)
        self._numbers += 1
        change.number, change.change_number = number, self._numbers
        answer = asyncio.get_running_loop().create_future()
        self._answers[change.change_number] = answer
        self._changes.append(change)
        self._wake.set()
        try:
            async with asyncio.timeout(_CHANGE_SECONDS):
                await answer
        except TimeoutError:
            raise unavailable_peer(self._peer.name) from None
        finally:
            del self._answers[change.change_number]

    async def run(self) -> None:
        """Keep the feed open from the first device on, until cancelled."""
        while True:
            while not self._followers:
                self._wake.clear()
                await self._wake.wait()
            try:
                await self._follow()
            except ChatkitError as error:
                if self._is_open:
                    _log.warning("feed_ended", peer=self._peer.name, reason=error.reason)
            await self._interrupt()
            await self._clock.sleep(self._retry_interval)

    async def _interrupt(self) -> None:
        self._is_open = False
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(unavailable_peer(self._peer.name))
        pace = Pace()
        for follower in list(self._followers.values()):
            follower.interrupted()
            await pace.did()

    async def _follow(self) -> None:
        time = PeerTime(self._clock)
        self._openings += 1
        self._to_follow = deque(self._followers)
        self._changes.clear()
        self._to_leave.clear()
        self._later.clear()
        self._wake.set()
        pace = Pace()
        responses: AsyncGenerator[Any, None] = self._peer.exchange(self._method, self._requests(self._openings))
        async with aclosing(responses):
            async for response in responses:
                self._is_open = True
                for event in response.events:
                    self._take(event, time)
                    await pace.did(WAKING)

    # What is asked for.

    async def _requests(self, opening: int) -> AsyncIterator[Any]:
        # It opens the feed, also where nobody follows yet.
        yield self._request()
        while opening == self._openings:
            while opening == self._openings and (self._to_follow or self._changes or self._to_leave):
                yield self._next_request()
            self._wake.clear()
            await self._wake.wait()

    def _next_request(self) -> Any:
        request = self._request()
        size = 0
        while self._to_follow and size < _REQUEST_BYTES and len(request.follow) < _MOST_OF_REQUEST:
            number = self._to_follow.popleft()
            if follower := self._followers.get(number):
                asked = follower.request(number)
                request.follow.append(asked)
                size += asked.ByteSize()
        # Those who change are followed before.
        while not self._to_follow and self._changes and size < _REQUEST_BYTES:
            change = self._changes.popleft()
            request.change.append(change)
            size += change.ByteSize()
        request.leave.extend(self._to_leave[:_MOST_OF_REQUEST])
        del self._to_leave[:_MOST_OF_REQUEST]
        return request

    # What is told.

    def _take(self, event: Any, time: PeerTime) -> None:
        match event.WhichOneof("event"):
            case "heartbeat":
                self._complete_at = time.moment(event.heartbeat.elapsed_ms / 1000)
                self._follow_those_due()
            case "refused":
                self._refuse(event.number, error_of(event.refused))
            case "changed":
                self._answer(event.changed.change_number, None)
            case "not_changed":
                self._answer(event.not_changed.change_number, error_of(event.not_changed.refusal))
            case None if not event.number:
                self.position = _position_in(event)
            case _:
                if follower := self._followers.get(event.number):
                    follower.told(event)

    def _answer(self, change_number: int, error: ChatkitError | None) -> None:
        answer = self._answers.get(change_number)
        if answer is None or answer.done():
            return
        if error is None:
            answer.set_result(None)
        else:
            answer.set_exception(error)

    def _refuse(self, number: int, error: ChatkitError) -> None:
        follower = self._followers.get(number)
        if follower is None:
            return
        if follower.refused(error):
            delay = error.retry_after or timedelta(seconds=self._retry_interval)
            self._later.append((self._clock.monotonic() + delay.total_seconds(), number))
            return
        del self._followers[number]
        del self._number_of[follower]

    def _follow_those_due(self) -> None:
        now = self._clock.monotonic()
        due = [number for moment, number in self._later if moment <= now]
        if due:
            self._later = deque((moment, number) for moment, number in self._later if moment > now)
            self._to_follow.extend(due)
            self._wake.set()


def _position_in(event: Any) -> Any:
    """Return where an event says that all stand; None where it does not say so, as no feed of presence does."""
    says_so = "position" in event.DESCRIPTOR.fields_by_name and event.HasField("position")
    return event.position if says_so else None
