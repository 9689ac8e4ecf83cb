"""A queue for what users share: so many pieces of work at once, and whoever has had least comes first.

This is start-time fair queueing (Goyal, Vin and Cheng, 1996). Each piece is tagged with the time at which what its user
had before ended, in a time that passes with what is served. So work of one user who asks for very much, or of forty who
ask again and again, is waited for by those users and not by one who comes now and then.
"""

import asyncio
import heapq
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar

# On whose behalf a task works; empty for what the process does by itself.
on_behalf_of: ContextVar[str] = ContextVar("on_behalf_of", default="")
# How much the last piece counts in what the next one is expected to take.
_SHARE_OF_LAST = 0.1
# Users who are remembered, beside those who have work.
_MANY = 1_000


class Turn:
    """What a user asks for: it comes, and is given back, come or not."""

    def __init__(self, queue: "FairQueue", user_id: str) -> None:
        self.user_id = user_id
        # Done when it has come, with how long the work is expected to take.
        self.came: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self.began = 0.0
        # When it was asked for, where it did not come at once.
        self.asked: float | None = None
        self._queue = queue

    def give_back(self) -> None:
        """Let somebody else have it."""
        if not self.came.cancel() and not self.came.cancelled():
            self._queue.take_back(self)


class _User:
    __slots__ = ("ends", "has_had", "in_hand", "is_queued", "waiting")

    def __init__(self) -> None:
        # When what the user has had ends.
        self.ends = 0.0
        self.has_had = False
        self.in_hand = 0
        self.is_queued = False
        self.waiting: deque[Turn] = deque()


class FairQueue:
    """Lets work in: `at_once` pieces of all users, `of_each` of them at most of one.

    What the process does by itself waits its turn as that of a user does, and has no number of its own.
    """

    def __init__(self, at_once: int, *, of_each: int, now: Callable[[], float] = time.monotonic) -> None:
        self._at_once = self._free = at_once
        self._of_each = of_each
        self._now = now
        # The tag of what was let in last.
        self._tag = 0.0
        self._expected = 0.0
        # Those who have work in hand or waiting, or have had some; none as soon as nobody works.
        self._users: dict[str, _User] = {}
        self._most_users = _MANY
        # By tag; of those who are equal, whoever has had nothing yet is first, and then who came first.
        self._heap: list[tuple[float, bool, int, str]] = []
        self._count = 0
        # How many turns did not come at once, and how long those waited that have come by now.
        self.waits = 0
        self.waited_seconds = 0.0

    @property
    def in_hand(self) -> int:
        """How many pieces are worked on."""
        return self._at_once - self._free

    @asynccontextmanager
    async def turn(self, user_id: str) -> AsyncIterator[None]:
        """Wait for a user's turn and hold it."""
        turn = self.ask(user_id)
        try:
            await turn.came
            yield
        finally:
            turn.give_back()

    def ask(self, user_id: str) -> Turn:
        """Ask for a turn, which may come at once; it must be given back."""
        user = self._users.get(user_id)
        if user is None:
            user = self._users[user_id] = _User()
        turn = Turn(self, user_id)
        if self._free and self._may_have_more(user_id, user):
            self._let_in(turn, user, max(self._tag, user.ends))
        else:
            turn.asked = self._now()
            self.waits += 1
            user.waiting.append(turn)
            self._queue(user_id, user)
        return turn

    def take_back(self, turn: Turn) -> None:
        """Take back a turn that has come."""
        more_than_expected = self._now() - turn.began - turn.came.result()
        self._free += 1
        user = self._users[turn.user_id]
        user.in_hand -= 1
        user.ends += more_than_expected
        self._expected += _SHARE_OF_LAST * more_than_expected
        self._queue(turn.user_id, user)
        self._next()

    def _queue(self, user_id: str, user: _User) -> None:
        if user.waiting and not user.is_queued and self._may_have_more(user_id, user):
            user.is_queued = True
            self._count += 1
            heapq.heappush(self._heap, (max(self._tag, user.ends), user.has_had, self._count, user_id))

    def _may_have_more(self, user_id: str, user: _User) -> bool:
        return user.in_hand < self._of_each or not user_id

    def _next(self) -> None:
        while self._free and self._heap:
            tag, _, _, user_id = heapq.heappop(self._heap)
            user = self._users[user_id]
            user.is_queued = False
            while user.waiting and user.waiting[0].came.cancelled():
                user.waiting.popleft()
            if user.waiting:
                self._let_in(user.waiting.popleft(), user, tag)
                self._queue(user_id, user)
        if self._free == self._at_once:
            # Nobody works: all are equal again.
            self._users.clear()
            self._tag = 0.0
        elif len(self._users) > self._most_users:
            self._forget()

    def _let_in(self, turn: Turn, user: _User, tag: float) -> None:
        self._free -= 1
        self._tag = tag
        user.in_hand += 1
        user.has_had = True
        user.ends = tag + self._expected
        turn.began = self._now()
        if turn.asked is not None:
            self.waited_seconds += turn.began - turn.asked
        turn.came.set_result(self._expected)

    def _forget(self) -> None:
        """Forget what others have had, because they are too many to remember."""
        self._users = {user_id: user for user_id, user in self._users.items() if user.in_hand or user.waiting}
        self._most_users = max(_MANY, 2 * len(self._users))
