"""Sees deletions through: asks each service that has something of a subject until none has, whatever ends meanwhile.

The job and how far it is stand in the database, so any process goes on with it. Two that work on one do no harm, and a
claim keeps that from being usual. Whoever asks for a deletion works on it for a moment; the rest is for the background.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta

import structlog

from services.runtime.clock import Clock
from services.runtime.contract.errors import ChatkitError, NotFound, unavailable_peer
from services.runtime.deadline import Deadline
from services.runtime.erasure.model import Backlog, Deletion, DeletionId, DeletionState
from services.runtime.erasure.store import DeletionStore
from services.runtime.metrics.rounds import Rounds

_log = structlog.get_logger()
# Longer than anyone works on a deletion before letting it go.
LEASE = timedelta(seconds=20)
# How long the caller of a deletion waits for it to be done, and how long the background works on one in a row.
_CALL_SECONDS, _TURN_SECONDS = 4.0, 10.0
_AT_ONCE = 4
_REMEMBERED = timedelta(days=1)
_FORGETTING_SECONDS = 3600.0
# Rounds are many, and nobody looks at figures so often.
_COUNTING_SECONDS = 10.0

# Has a service remove some of what it has of a deletion's subject; False when there is more.
Erase = Callable[[Deletion, Deadline], Awaitable[bool]]


class Deletions:
    """The deletions that a service runs; `erasers` are the others that have something of a subject, by name."""

    def __init__(self, store: DeletionStore, erasers: Mapping[str, Erase], clock: Clock, *, interval: float) -> None:
        self._store = store
        self._erasers = erasers
        self._clock = clock
        self._interval = interval
        self.rounds = Rounds(clock)
        # As of when it was counted last.
        self.backlog = Backlog(0, 0.0)
        self.put_off = 0
        self._forgets_at = self._counts_at = clock.monotonic()

    async def get(self, deletion_id: DeletionId) -> Deletion:
        """Return a deletion as far as it is. Raises DELETION_NOT_FOUND."""
        deletion = await self._store.find(deletion_id)
        if deletion is None:
            raise deletion_not_found(str(deletion_id))
        return deletion

    async def of_subject(self, subject_id: str) -> Deletion | None:
        """Return the last deletion of what had this id, unless it was done more than a day ago."""
        return await self._store.of_subject(subject_id)

    async def page(self, after: tuple[datetime, DeletionId] | None, size: int) -> list[Deletion]:
        """Return deletions, the newest first."""
        return await self._store.page(after, size)

    async def see_through(self, deletion_id: DeletionId, deadline: Deadline) -> Deletion:
        """Work on a deletion for a moment, and return as far as it is: from then on nothing new comes into being.

        Raises SERVICE_UNAVAILABLE where a service was not reached; the deletion goes on nevertheless.
        """
        deletion = await self.get(deletion_id)
        if deletion.state is DeletionState.DONE:
            return deletion
        try:
            await self._work(deletion, min(deadline, Deadline.after(_CALL_SECONDS)))
        finally:
            await self._store.let_go(deletion_id, timedelta(0))
        return await self.get(deletion_id)

    async def run(self) -> None:
        """Go on with deletions that nobody is at, and forget what is long over, until cancelled."""
        while True:
            await self._clock.sleep(self._interval)
            try:
                await self._round()
            except ChatkitError as error:
                self.rounds.fail()
                _log.warning("deletions_wait", reason=error.reason)

    async def _round(self) -> None:
        if self._clock.monotonic() >= self._forgets_at:
            await self._store.forget(_REMEMBERED)
            self._forgets_at = self._clock.monotonic() + _FORGETTING_SECONDS
        while claimed := await self._store.claim(LEASE, _AT_ONCE):
            await asyncio.gather(*(self._take_turn(deletion_id) for deletion_id in claimed))
        if self._clock.monotonic() >= self._counts_at:
            self.backlog = await self._store.backlog()
            self._counts_at = self._clock.monotonic() + _COUNTING_SECONDS
        self.rounds.succeed()

    async def _take_turn(self, deletion_id: DeletionId) -> None:
        pause = timedelta(0)
        try:
            await self._work(await self.get(deletion_id), Deadline.after(_TURN_SECONDS))
        except ChatkitError as error:
            _log.warning(
                "deletion_waits",
                deletion_id=str(deletion_id),
                reason=error.reason,
                missing=error.metadata.get("service"),
            )
            self.put_off += 1
            pause = timedelta(seconds=self._interval)
        await self._store.let_go(deletion_id, pause)

    async def _work(self, deletion: Deletion, until: Deadline) -> None:
        """Let all services work at once; raise what the first one raised that was not reached."""
        waiting = [part.service for part in deletion.services if not part.is_done]
        told = await asyncio.gather(
            *(self._erase(deletion, service, until) for service in waiting), return_exceptions=True
        )
        for error in told:
            if error is not None:
                raise error

    async def _erase(self, deletion: Deletion, service: str, until: Deadline) -> None:
        erase = self._erasers.get(service)
        if erase is None:
            # A later release knows more services.
            raise unavailable_peer(service)
        is_done = await erase(deletion, until)
        # It has its fence now, so what fails from here on need not worry the caller.
        with suppress(ChatkitError):
            while not is_done and until.left():
                is_done = await erase(deletion, until)
        if is_done:
            await self._store.service_done(deletion.id, service)


def deletion_not_found(deletion_id: str) -> NotFound:
    """Return the error for a deletion that is not there."""
    return NotFound("DELETION_NOT_FOUND", "there is no such deletion", metadata={"deletion_id": deletion_id})
