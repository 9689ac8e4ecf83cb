"""Whether the users of open streams may still have what they are sent: what makes that doubtful, and who asks again.

What a doubt and an answer do to a stream is its owner's to say.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import structlog

from services.runtime.access.port import AccessChecker, AccessQuery, RoleKey
from services.runtime.clock import Clock
from services.runtime.contract.errors import ChatkitError

_log = structlog.get_logger()
_Stream = TypeVar("_Stream")


class Doubt:
    """Whether a user still has access, from a change that may have ended that until an answer that has seen the change.

    An answer says on which roles the access depends: a change of another role raises no doubt.
    """

    __slots__ = ("_clock", "_roles", "_since", "count")

    def __init__(self, clock: Clock) -> None:
        # How often there was one. Whoever asks notes it before, and gives it back with the answer.
        self.count = 0
        # None when there is none.
        self._since: float | None = None
        # None before there was an answer.
        self._roles: tuple[RoleKey, ...] | None = None
        self._clock = clock

    @property
    def is_settled(self) -> bool:
        """Whether there is none."""
        return self._since is None

    def may_depend_on(self, role: RoleKey) -> bool:
        """Tell whether the user may have access by a role."""
        return self._roles is None or role in self._roles

    def rise(self) -> None:
        """Take note of a change."""
        self.count += 1
        if self._since is None:
            self._since = self._clock.monotonic()

    def settle(self, roles: tuple[RoleKey, ...], count: int) -> bool:
        """Take an answer as of when there had been so many; False when a later one waits for an answer of its own."""
        if count != self.count:
            return False
        self._roles = roles
        self._since = None
        return True

    async def ask(self, access: AccessChecker, query: AccessQuery) -> bool:
        """Ask, and take the answer as `settle` does; raises what `check` raises."""
        count = self.count
        return self.settle((await access.check(query)).roles, count)

    def has_lasted(self, seconds: float) -> bool:
        """Tell whether there has been one for so long."""
        return self._since is not None and self._clock.monotonic() - self._since >= seconds


class DoubtQueue(Generic[_Stream]):
    """Asks about streams, so many at once; again after a pause about one whose `ask` raised that nobody can tell.

    A stream is in it once at the most, however often it comes into doubt.
    """

    def __init__(
        self, ask: Callable[[_Stream], Awaitable[None]], clock: Clock, *, asked_at_once: int, retry_interval: float
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._asked_at_once = asked_at_once
        self._retry_interval = retry_interval
        self._queue: asyncio.Queue[_Stream] = asyncio.Queue()
        self._queued: set[_Stream] = set()

    def put(self, stream: _Stream) -> None:
        """Have a stream asked about; one that is being asked about is asked about once more."""
        if stream not in self._queued:
            self._queued.add(stream)
            self._queue.put_nowait(stream)

    async def run(self) -> None:
        """Ask until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._asked_at_once):
                group.create_task(self._ask_in_turn())

    async def _ask_in_turn(self) -> None:
        while True:
            stream = await self._queue.get()
            # Before it is asked about: a doubt that comes meanwhile needs an answer of its own.
            self._queued.discard(stream)
            try:
                await self._ask(stream)
            except ChatkitError as error:
                _log.info("access_not_asked_again", reason=error.reason)
                self.put(stream)
                await self._clock.sleep(self._retry_interval)
