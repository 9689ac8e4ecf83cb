"""The streams of this replica that make users online, and the sessions on disk that follow them.

The first stream of a user here begins a session and the last one ends it; what piles up while a transaction is under
way shares the next one. One lease stands for all sessions of the replica. It is renewed all the time, and when it has
lapsed every session is asserted anew, because another replica may have taken it away.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

import structlog

from services.runtime.clock import Clock
from services.runtime.contract.absent import users_not_found
from services.runtime.contract.errors import ChatkitError, Unavailable
from services.runtime.data.database import unbroken
from services.runtime.ids import UserUid
from services.runtime.steps import Pace
from services.users.presence.store import MOST_AT_ONCE, LeaseLostError, PresenceStore

_log = structlog.get_logger()
# A database that answers nothing must not keep a process from ending, nor the lease from being tried again.
_PATIENCE_SECONDS = 2.0


@dataclass(slots=True, eq=False)
class Place:
    """A user's streams here."""

    user_uid: UserUid
    user_id: str
    streams: int = 0
    # Whether there is a session on disk; None while that is not known.
    is_stored: bool | None = False
    # Done when the session is on disk; None while nobody waits for it.
    stored: "asyncio.Future[None] | None" = None

    @property
    def is_settled(self) -> bool:
        """Whether what is on disk is what it should be."""
        return self.is_stored is (self.streams > 0)

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing here and nothing on disk."""
        return not self.streams and self.is_stored is False

    def tell(self) -> None:
        """Let those go on who wait for the session."""
        if self.stored is not None:
            self.stored.set_result(None)
            self.stored = None

    def fail(self, error: ChatkitError) -> None:
        """Let those give up who wait for the session."""
        if self.stored is not None:
            self.stored.set_exception(error)
            # Looked at, because those who wait may all have gone.
            self.stored.exception()
            self.stored = None


class Sessions:
    """Who is online by the streams of this replica."""

    def __init__(
        self,
        store: PresenceStore,
        clock: Clock,
        *,
        renewal_interval: float,
        reaping_interval: float,
        retry_interval: float,
        changed: Callable[[], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._renewal_interval = renewal_interval
        self._reaping_interval = reaping_interval
        self._retry_interval = retry_interval
        self._changed = changed
        self._places: dict[UserUid, Place] = {}
        # Those that may have to be written, the oldest first.
        self._unsettled: dict[UserUid, Place] = {}
        self._wake = asyncio.Event()
        self._held_since: datetime | None = None
        # How often the lease was found to be another one than before, the first time included.
        self._lapses = 0
        self._renewed_at = clock.monotonic()
        self.renewals = self.reaped = 0

    @property
    def count(self) -> int:
        """How many users have streams here."""
        return len(self._places)

    @property
    def unwritten(self) -> int:
        """How many users are still to be written."""
        return len(self._unsettled)

    @property
    def lapses(self) -> int:
        """How often the lease had lapsed."""
        return max(0, self._lapses - 1)

    @property
    def lease_age(self) -> float:
        """How many seconds ago the lease was renewed, or the process began."""
        return self._clock.monotonic() - self._renewed_at

    @asynccontextmanager
    async def online(self, user_uid: UserUid, user_id: str) -> AsyncIterator[None]:
        """Make a user online for as long as the context is open; the session is on disk when it opens."""
        place = await self.enter(user_uid, user_id)
        try:
            yield
        finally:
            self.leave(place)

    async def enter(self, user_uid: UserUid, user_id: str) -> Place:
        """Make a user online until `leave`; the session is on disk when this returns."""
        place = self._places.setdefault(user_uid, Place(user_uid, user_id))
        place.streams += 1
        try:
            if place.is_stored is not True:
                await self._written(place)
        except BaseException:
            # Also when this is cancelled.
            self.leave(place)
            raise
        return place

    def leave(self, place: Place) -> None:
        """End what one `enter` has begun."""
        place.streams -= 1
        if not place.streams:
            self._unsettle(place)

    async def _written(self, place: Place) -> None:
        if place.stored is None:
            place.stored = asyncio.get_running_loop().create_future()
        stored = place.stored
        self._unsettle(place)
        # Waited for, not awaited: a caller who gives up leaves it to the others.
        await asyncio.wait({stored})
        stored.result()

    def _unsettle(self, place: Place) -> None:
        self._unsettled[place.user_uid] = place
        self._wake.set()

    async def renew(self) -> None:
        """Renew the lease; if it had lapsed, have every session asserted anew."""
        held_since = await self._store.renew()
        self._renewed_at = self._clock.monotonic()
        self.renewals += 1
        if held_since == self._held_since:
            return
        if self._held_since is not None:
            _log.warning("presence_lease_lapsed", users=len(self._places))
        self._held_since = held_since
        self._lapses += 1
        # In one go, so that nothing that is written meanwhile counts as lost: STREAMS_PER_PROCESS bounds how many.
        for place in self._places.values():
            if place.is_stored:
                place.is_stored = None
                self._unsettle(place)

    async def flush(self) -> None:
        """Bring to disk what has piled up; when this fails, it may be called again."""
        while self._unsettled:
            batch = [self._unsettled.pop(user_uid) for user_uid in list(islice(self._unsettled, MOST_AT_ONCE))]
            for place in batch:
                self._forget_idle(place)
            places = [place for place in batch if not place.is_settled]
            if places:
                await self._write(places)

    async def _write(self, places: list[Place]) -> None:
        entered = [place for place in places if place.streams]
        left = [place for place in places if not place.streams]
        lapses = self._lapses
        for place in places:
            place.is_stored = None
        try:
            present, has_changed = await self._store.apply(_uids(entered), _uids(left))
        except LeaseLostError:
            self._put_back(places)
            await self.renew()
            return
        except BaseException as error:
            # Also when this is cancelled: what is not known to be on disk is written again.
            self._put_back(places)
            if isinstance(error, Unavailable):
                for place in entered:
                    place.fail(error)
            raise
        if has_changed:
            self._changed()
        for place in left:
            self._settle(place, is_stored=False)
        for place in entered:
            is_there = place.user_uid in present
            if not is_there:
                place.fail(users_not_found([place.user_id]))
            # If a lapse was noticed meanwhile, the session may be gone again.
            self._settle(place, is_stored=None if is_there and lapses != self._lapses else is_there)

    def _put_back(self, places: Iterable[Place]) -> None:
        for place in places:
            self._unsettled.setdefault(place.user_uid, place)

    def _settle(self, place: Place, *, is_stored: bool | None) -> None:
        place.is_stored = is_stored
        if is_stored is None:
            self._unsettle(place)
        elif is_stored:
            place.tell()
        self._forget_idle(place)

    def _forget_idle(self, place: Place) -> None:
        if place.is_idle:
            self._unsettled.pop(place.user_uid, None)
            self._places.pop(place.user_uid, None)

    async def reap(self) -> None:
        """Take away the leases of replicas that are gone, and make offline whose time has come."""
        while gone := await self._store.reap_leases():
            self.reaped += gone
        while True:
            looked_at, gone = await self._store.reap_leavers()
            if gone:
                self._changed()
            if not looked_at:
                return

    async def run(self) -> None:
        """Renew, write and reap until cancelled; then end every session."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._renew())
                group.create_task(self._write_what_comes())
                group.create_task(self._reap())
        finally:
            with suppress(ChatkitError, LeaseLostError, TimeoutError):
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    await self._release()

    async def _renew(self) -> None:
        while True:
            try:
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    await unbroken(self.renew())
            except (ChatkitError, TimeoutError) as error:
                _log.warning("presence_lease_not_renewed", problem=str(error) or "no answer")
            await self._clock.sleep(self._renewal_interval)

    async def _write_what_comes(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await unbroken(self.flush())
            except ChatkitError as error:
                _log.warning("presence_unwritten", reason=error.reason, users=len(self._unsettled))
                await self._clock.sleep(self._retry_interval)
                self._wake.set()

    async def _reap(self) -> None:
        while True:
            await self._clock.sleep(self._reaping_interval)
            try:
                await unbroken(self.reap())
            except ChatkitError as error:
                _log.warning("presence_unreaped", reason=error.reason)

    async def _release(self) -> None:
        """End the sessions of streams that the end of the process has cut, and give the lease up."""
        pace = Pace()
        for place in list(self._places.values()):
            place.streams = 0
            self._unsettled[place.user_uid] = place
            await pace.did()
        await self.flush()
        await self._store.release()


def _uids(places: Iterable[Place]) -> list[UserUid]:
    return [place.user_uid for place in places]
