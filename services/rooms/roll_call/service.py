"""Finds the members who are no users any more, or again, after users was put back to another state.

Each epoch of users is called through once, by whichever replica comes first. Who is absent keeps their memberships, but
is let in nowhere; who is there again goes on as if nothing had been.
"""

import asyncio

import structlog

from services.rooms.model import Change
from services.rooms.roll_call.store import RollCallStore
from services.runtime.clock import Clock
from services.runtime.contract.errors import ChatkitError
from services.runtime.data.change_feed import ChangeFeed
from services.runtime.deadline import Deadline
from services.runtime.ids import UserId
from services.runtime.peers.directory import DirectoryClient

_log = structlog.get_logger()
_CALL_SECONDS = 5.0


class RollCall:
    """Calls the members' names."""

    def __init__(
        self,
        store: RollCallStore,
        users: DirectoryClient,
        feed: ChangeFeed[Change],
        clock: Clock,
        *,
        at_once: int,
        retry_interval: float,
    ) -> None:
        self._store = store
        self._users = users
        self._feed = feed
        self._clock = clock
        # How many users may be asked about in one question.
        self._at_once = at_once
        self._retry_interval = retry_interval
        self._epoch = ""
        self._is_due = asyncio.Event()

    def hear(self, epoch: str) -> None:
        """Take note of the epoch of users; an empty one is not known."""
        if epoch and epoch != self._epoch:
            self._epoch = epoch
            self._is_due.set()

    async def run(self) -> None:
        """Call whenever it is due, until cancelled."""
        while True:
            await self._is_due.wait()
            self._is_due.clear()
            try:
                await self._call(self._epoch)
            except ChatkitError as error:
                _log.info("roll_call_waits", reason=error.reason)
                self._is_due.set()
                await self._clock.sleep(self._retry_interval)

    async def _call(self, epoch: str) -> None:
        if await self._store.called_epoch() == epoch:
            return
        after, absent = "", 0
        while page := await self._store.page(after, self._at_once):
            users = await self._users.find([member.user_id for member in page], Deadline.after(_CALL_SECONDS))
            gone = [(uid, member.user_id) for member in page for uid in member.uids if users.get(member.user_id) != uid]
            there = [(uid, UserId(user_id)) for user_id, uid in users.items()]
            if await self._store.mark(gone, there):
                self._feed.nudge()
            after, absent = page[-1].user_id, absent + len(gone)
        await self._store.note_called(epoch)
        _log.info("roll_called", epoch=epoch, absent=absent)
