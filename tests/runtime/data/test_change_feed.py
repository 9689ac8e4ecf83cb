"""Whoever follows changes has all of them in their order, or is told that some are missing. No database."""

import asyncio
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast
from unittest.mock import patch

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from structlog.testing import capture_logs

from services.runtime.contract.errors import ChatkitError, Unavailable
from services.runtime.data import change_feed
from services.runtime.data.change_feed import ChangeFeed, FeedUpdate
from services.runtime.data.change_log import Head
from tests.support.clock import ManualClock

_POLL, _HEARTBEAT = 1.0, 5.0
_PAGE = 3


@dataclass(frozen=True)
class _Change:
    version: int
    # What it says, which no other change does.
    what: int


class _Store:
    """The changes of a schema, which may be away, swept, and put back."""

    def __init__(self, clock: ManualClock) -> None:
        self.epoch = 0
        self.version = 0
        self.changes: dict[int, _Change] = {}
        self.is_away = False
        # What was seen when somebody looked, by the time in milliseconds.
        self.seen: dict[int, Head] = {}
        self._clock = clock
        self._made = 0

    def make(self) -> None:
        self._made += 1
        self.version += 1
        self.changes[self.version] = _Change(self.version, self._made)

    def put_back(self, by: int) -> None:
        self.epoch += 1
        self.version = max(0, self.version - by)
        self.changes = {version: change for version, change in self.changes.items() if version <= self.version}

    def forget(self, kept: int) -> None:
        """Sweep all but the newest, of which one stays at least."""
        self.changes = {version: one for version, one in self.changes.items() if version > self.version - kept}

    async def head(self) -> Head:
        self._check()
        head = Head(f"epoch {self.epoch}", self.version)
        self.seen.setdefault(round(self._clock.monotonic() * 1000), head)
        return head

    async def after(self, version: int, most: int) -> list[_Change]:
        self._check()
        return [one for place, one in sorted(self.changes.items()) if place > version][:most]

    async def sweep(self, _kept: timedelta) -> int:
        return 0

    def _check(self) -> None:
        if self.is_away:
            raise Unavailable("DATABASE_UNAVAILABLE", "away")


@dataclass
class _Follower:
    """What a follower knows, by what it was told."""

    version: int
    epoch: str
    known: dict[int, _Change] = field(default_factory=dict)
    beaten_at: float = 0.0
    ended: str = ""

    def take(self, update: FeedUpdate[_Change], now: float) -> None:
        if update.is_reset:
            self.known.clear()
            assert not update.changes
        elif update.changes:
            versions = [change.version for change in update.changes]
            assert versions == list(range(self.version + 1, update.version + 1))
            self.known.update({change.version: change for change in update.changes})
        else:
            self.beaten_at = now
            # All up to it was sent; the first says from where it goes on.
            assert update.version == self.version or not self.epoch
        self.version, self.epoch = update.version, update.epoch


class _Machine(RuleBasedStateMachine):
    """A feed with followers, over a store to which everything happens."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = ManualClock()
        self.store = _Store(self.clock)
        self.feed: ChangeFeed[_Change] = ChangeFeed(
            cast("Any", self.store),
            self.clock,
            poll_interval=_POLL,
            heartbeat_interval=_HEARTBEAT,
            kept=timedelta(days=1),
        )
        self.followers: list[_Follower] = []
        self._following: dict[int, asyncio.Task[None]] = {}
        self._undone = ExitStack()
        self._undone.enter_context(capture_logs())
        self._undone.enter_context(patch.object(change_feed, "_PAGE", _PAGE))
        self._running = self.loop.create_task(self.feed.run())

    async def _follow(self, follower: _Follower) -> None:
        came_at = round(self.clock.monotonic() * 1000)
        try:
            async for update in self.feed.follow(follower.version, follower.epoch):
                follower.take(update, self.clock.monotonic())
                if update.elapsed_ms:
                    # All was sent that was there when the database was asked.
                    seen = self.store.seen[came_at + update.elapsed_ms]
                    assert seen.version <= update.version or seen.epoch != update.epoch
        except ChatkitError as error:
            follower.ended = error.reason

    def _start(self, follower: _Follower) -> None:
        follower.ended = ""
        if not follower.version:
            # Zero is the present: who comes again from there is as one who comes for the first time.
            follower.epoch = ""
        self._following[id(follower)] = self.loop.create_task(self._follow(follower))
        self._pass(0)

    def _pass(self, seconds: float) -> None:
        self.loop.run_until_complete(self.clock.advance(seconds))
        for task in (self._running, *self._following.values()):
            assert not task.done() or task.cancelled() or task.exception() is None

    @initialize(made=st.integers(1, 4))
    def begin(self, made: int) -> None:
        """Let somebody follow who has something to come back to."""
        for _ in range(made):
            self.store.make()
        self._begin_to_follow()

    @precondition(lambda self: len(self.followers) < 3)
    @rule()
    def follow(self) -> None:
        self._begin_to_follow()

    def _begin_to_follow(self) -> None:
        self.followers.append(_Follower(0, ""))
        self._start(self.followers[-1])

    @precondition(lambda self: any(one.ended for one in self.followers))
    @rule()
    def follow_again(self) -> None:
        for follower in self.followers:
            if follower.ended:
                self._start(follower)

    @precondition(lambda self: self.followers)
    @rule(which=st.integers(0, 2))
    def break_off(self, which: int) -> None:
        """Let a follower lose the connection, who comes again later from where they are."""
        follower = self.followers[which % len(self.followers)]
        if not follower.ended:
            follower.ended = "LOST"
            self._following[id(follower)].cancel()
            self._pass(0)

    @rule(count=st.integers(1, 2 * _PAGE), nudges=st.booleans())
    def change(self, count: int, nudges: bool) -> None:
        for _ in range(count):
            self.store.make()
        if nudges:
            self.feed.nudge()
        self._pass(0)

    @rule(kept=st.integers(1, 3))
    def sweep(self, kept: int) -> None:
        self.store.forget(kept)

    @rule(by=st.integers(0, 4), made=st.integers(0, 6))
    def put_back(self, by: int, made: int) -> None:
        """Put an older copy back, after which other changes may have been made before anybody looks."""
        self.store.put_back(by)
        for _ in range(made):
            self.store.make()

    @rule(is_away=st.booleans())
    def be_away(self, is_away: bool) -> None:
        self.store.is_away = is_away

    @rule(seconds=st.sampled_from([0.5, 1.0, 6.0]))
    def let_time_pass(self, seconds: float) -> None:
        self._pass(seconds)

    @invariant()
    def what_is_known_is_so(self) -> None:
        for follower in self.followers:
            if follower.epoch == f"epoch {self.store.epoch}" and not follower.ended:
                there = self.store.changes
                assert all(there.get(version, change) == change for version, change in follower.known.items())

    def teardown(self) -> None:
        """Let the store be there for a while: then everybody has come to its end, and is told so again."""
        try:
            self.store.is_away = False
            self._pass(2 * _POLL)
            self.follow_again()
            self._pass(2 * _POLL)
            self._pass(2 * _HEARTBEAT)
            for follower in self.followers:
                assert (follower.version, follower.epoch) == (self.store.version, f"epoch {self.store.epoch}")
                assert follower.beaten_at > self.clock.monotonic() - _HEARTBEAT - 2 * _POLL
            self.feed.end()
            self._pass(0)
            assert all(follower.ended == "SHUTTING_DOWN" for follower in self.followers)
        finally:
            tasks = (self._running, *self._following.values())
            for task in tasks:
                task.cancel()
            self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            self.loop.close()
            self._undone.close()


TestChangeFeed = _Machine.TestCase
TestChangeFeed.settings = settings(max_examples=300, stateful_step_count=30, deadline=None)
