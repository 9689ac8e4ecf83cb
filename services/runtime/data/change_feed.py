"""The feed of changes: one poller per process, and a follower per stream that reads on from its own version.

The poll alone bounds how late a change is told (in rooms, for how long a removed member is still let in), whatever
becomes of the bus, which makes it quicker. A heartbeat says that everything up to its version was sent, as of when the
database was last asked. Where the epoch is another, the schema was put back, and followers are told of a reset.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic

import structlog

from services.runtime.clock import Clock
from services.runtime.contract.errors import ChatkitError, Unavailable
from services.runtime.data.change_log import Change, ChangeStore, Head
from services.runtime.problems import problem_of

_log = structlog.get_logger()
_PAGE = 500
_SWEEP_SECONDS = 60.0
_AFTER_SHUTDOWN = timedelta(milliseconds=200)


@dataclass(frozen=True, slots=True)
class FeedUpdate(Generic[Change]):
    """What a follower is told: changes; or none, a heartbeat; or that changes were missed before `version`."""

    version: int
    changes: Sequence[Change] = ()
    is_reset: bool = False
    # Of a heartbeat: from when the follower came until the database was asked.
    elapsed_ms: int = 0
    # What the version belongs to; a stand-in need not know.
    epoch: str = ""


class ChangeFeed(Generic[Change]):
    """Lets streams follow the changes of a schema."""

    def __init__(
        self,
        store: ChangeStore[Change],
        clock: Clock,
        *,
        poll_interval: float,
        heartbeat_interval: float,
        kept: timedelta,
        tell_others: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._poll_interval = poll_interval
        self._heartbeat_interval = heartbeat_interval
        self._kept = kept
        self._tell_others = tell_others
        # What the last look saw, when it began, and what is set when the next look is done.
        self._seen: Head | None = None
        self._seen_at = float("-inf")
        self._looked = asyncio.Event()
        self._is_unread = False
        self._nudged = asyncio.Event()
        # Whether this process has made a change that others were not told of.
        self._is_untold = False
        self._followers = 0
        self._ended = False

    def nudge(self) -> None:
        """Look at once, because this process has just made a change, and then let other replicas look."""
        self._is_untold = True
        self._nudged.set()

    def received(self, _key: bytes, _payload: bytes) -> None:
        """Look at once, because another replica has made a change."""
        self._nudged.set()

    def missed(self) -> None:
        """Look at once, because another replica may have made a change."""
        self._nudged.set()

    def end(self) -> None:
        """End every follower with SHUTTING_DOWN."""
        self._ended = True
        self._announce()

    async def run(self) -> None:
        """Look for changes while somebody follows, and sweep old ones, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._tick())
            group.create_task(self._sweep())
            while True:
                await self._nudged.wait()
                self._nudged.clear()
                is_untold, self._is_untold = self._is_untold, False
                if self._followers:
                    await self._look()
                if is_untold:
                    # They come when the change has its version, which one of them would have to give it otherwise.
                    self._tell_others()

    async def follow(self, after: int, epoch: str = "") -> AsyncIterator[FeedUpdate[Change]]:
        """Tell the changes after a version of an epoch, for ever; 0 starts at the present one.

        With an empty epoch the version is taken for one of the present epoch.
        """
        self._followers += 1
        try:
            async for update in self._follow(after, epoch):
                yield update
        finally:
            self._followers -= 1

    async def _follow(self, after: int, epoch: str) -> AsyncIterator[FeedUpdate[Change]]:
        came_at = self._clock.monotonic()
        head = await self._store.head()
        # When the head was read, when the position was last moved, and when the database was asked for the last
        # heartbeat.
        head_at = moved_at = self._clock.monotonic()
        beaten_at = came_at
        position = after or head.version
        if position > head.version or (after and epoch not in {"", head.epoch}):
            # A version that was never given in this epoch: the schema is not the one that it was.
            position = head.version
            yield FeedUpdate(position, is_reset=True, epoch=head.epoch)
        elif position == head.version:
            yield FeedUpdate(position, epoch=head.epoch)
        due: tuple[int, float] | None = None
        while not self._ended:
            looked = self._looked
            if self._seen is not None and self._seen_at > head_at:
                was, head, head_at = head, self._seen, self._seen_at
                if head.epoch != was.epoch or (position > head.version and self._seen_at > moved_at):
                    # The schema was put back, and the versions after the one it then had are others.
                    position, moved_at, due = head.version, self._seen_at, None
                    yield FeedUpdate(position, is_reset=True, epoch=head.epoch)
            page = await self._store.after(position, _PAGE) if position < head.version else []
            if page:
                missed = page[0].version != position + 1
                yield FeedUpdate(page[-1].version, () if missed else page, is_reset=missed, epoch=head.epoch)
                position, moved_at = page[-1].version, self._clock.monotonic()
            if due is None and self._seen_at >= beaten_at + self._heartbeat_interval:
                due = head.version, self._seen_at
            if due is not None and due[0] <= position:
                # Also while changes go on coming: what was there when the database was asked has been sent.
                beaten_at, due = due[1], None
                yield FeedUpdate(position, elapsed_ms=int((beaten_at - came_at) * 1000), epoch=head.epoch)
            if not page:
                await looked.wait()
        raise Unavailable("SHUTTING_DOWN", "the service is being stopped", retry_after=_AFTER_SHUTDOWN)

    async def _tick(self) -> None:
        while True:
            self._nudged.set()
            await self._clock.sleep(self._poll_interval)

    async def _look(self) -> None:
        asked_at = self._clock.monotonic()
        try:
            self._seen = await self._store.head()
        except ChatkitError as error:
            # Away, or locked by whoever puts the schema back.
            if not self._is_unread:
                # Said once for as long as it is so: it looks many times a second.
                _log.warning("changes_unread", problem=problem_of(error))
            self._is_unread = True
            return
        if self._is_unread:
            _log.info("changes_read_again")
        self._is_unread = False
        self._seen_at = asked_at
        self._announce()

    def _announce(self) -> None:
        looked, self._looked = self._looked, asyncio.Event()
        looked.set()

    async def _sweep(self) -> None:
        while True:
            await self._clock.sleep(_SWEEP_SECONDS)
            try:
                await self._store.sweep(self._kept)
            except ChatkitError as error:
                _log.warning("changes_unswept", reason=error.reason)
