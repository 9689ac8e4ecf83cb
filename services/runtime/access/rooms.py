"""Who may act, as services other than rooms know it: asked once, and kept while nothing changes.

One object of a process, made by `Server.rooms_access`: handlers ask it, its `run` follows the changes.
"""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import replace

from services.runtime.access.cache import AccessCache, Freshness
from services.runtime.access.client import AccessClient
from services.runtime.access.port import AccessChange, AccessGrant, AccessListener, AccessQuery
from services.runtime.access.watch import AccessWatch
from services.runtime.clock import Clock
from services.runtime.contract.errors import ChatkitError, Unimplemented
from services.runtime.ids import RoomId
from services.runtime.steps import Chores


class RoomsAccess:
    """Answers from what is kept, and asks rooms for the rest."""

    def __init__(
        self, client: AccessClient, clock: Clock, *, patience: float, lifetime: float, retry_interval: float
    ) -> None:
        self.freshness = Freshness(clock, patience)
        self._client = client
        self._chores = Chores()
        self._cache = AccessCache(clock, self.freshness, lifetime=lifetime, let_go=self._chores.put)
        self._watch = AccessWatch(client, self._cache, clock, retry_interval=retry_interval)
        self._watch.listeners.append(self)
        # Questions that are with rooms and may be shared, and all that are with rooms.
        self._shared: dict[AccessQuery, asyncio.Task[AccessGrant]] = {}
        self._asked: set[asyncio.Task[AccessGrant]] = set()
        self._followed = asyncio.Event()
        # How often what was kept has answered, and how often rooms was asked.
        self.hits = self.questions = 0

    @property
    def kept_answers(self) -> int:
        """How many answers are kept."""
        return len(self._cache)

    async def check(self, query: AccessQuery) -> AccessGrant:
        """Return the grant, or raise ROOM_ACCESS_DENIED or PERMISSION_MISSING; for superusers ROOM_NOT_FOUND.

        Raises SERVICE_UNAVAILABLE when rooms must be asked and can't be reached.
        """
        grant = self._cache.find(query)
        if grant is not None:
            self.hits += 1
            return grant.for_caller(query)
        self.questions += 1
        asked = self._shared.get(query) or self._ask(query)
        # Waited for, not awaited: a caller who gives up does not take the answer from the others.
        await asyncio.wait({asked})
        return asked.result().for_caller(query)

    def kept(self, query: AccessQuery) -> AccessGrant | None:
        """Return the grant that is kept, if there is one and it may be used now; rooms is not asked."""
        grant = self._cache.find(query)
        return grant.for_caller(query) if grant is not None else None

    async def check_rooms(self, query: AccessQuery, room_ids: Sequence[str]) -> list[AccessGrant | ChatkitError]:
        """Answer the query for each of the rooms instead of its own, in the order given; rooms is asked once at most.

        Raises SERVICE_UNAVAILABLE when rooms must be asked and can't be reached.
        """
        answers = {room_id: self._cache.find(replace(query, room_id=RoomId(room_id))) for room_id in room_ids}
        unknown = [room_id for room_id, grant in answers.items() if grant is None]
        asked = self._cache.asking()
        told = dict(zip(unknown, await self._client.check_rooms(query, unknown), strict=True)) if unknown else {}
        for room_id, answer in told.items():
            if isinstance(answer, AccessGrant):
                self._cache.keep(replace(query, room_id=RoomId(room_id)), answer, asked)
        return [_for_caller(answers[room_id] or told[room_id], query) for room_id in room_ids]

    async def check_users(self, queries: Collection[AccessQuery]) -> dict[AccessQuery, AccessGrant | ChatkitError]:
        """Answer queries of many users outside of rooms; of one permission, rooms is asked once.

        The answers are those of rooms: `for_caller` tells what they are for a caller's token. Raises
        SERVICE_UNAVAILABLE when rooms can't be reached.
        """
        asked = self._cache.asking()
        answers: dict[AccessQuery, AccessGrant | ChatkitError] = {}
        for permission in {query.permission for query in queries}:
            some = [query for query in queries if query.permission == permission]
            answers |= zip(some, await self._asked_together(some, permission), strict=True)
        for query, answer in answers.items():
            if isinstance(answer, AccessGrant):
                self._cache.keep(query, answer, asked)
        return answers

    async def _asked_together(
        self, queries: Sequence[AccessQuery], permission: str
    ) -> Sequence[AccessGrant | ChatkitError]:
        try:
            return await self._client.check_users([query.user_id or "" for query in queries], permission)
        except Unimplemented:
            # A rooms of the release before.
            return await asyncio.gather(*(self._asked_alone(query) for query in queries))

    async def _asked_alone(self, query: AccessQuery) -> AccessGrant | ChatkitError:
        try:
            return await self._client.check(query)
        except ChatkitError as error:
            return error

    def listen(self, listener: AccessListener) -> None:
        """Tell a listener of changes, in the step in which they take effect here."""
        self._watch.listeners.append(listener)

    async def run(self) -> None:
        """Follow the changes until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._chores.run())
                group.create_task(self._watch.run())
        finally:
            for task in self._asked:
                task.cancel()

    async def ready(self) -> None:
        """Return once the changes have been followed up to the present."""
        await self._followed.wait()

    # What the watch tells. A question that was put before a change must not be answered to whoever asks after it.

    def changed(self, _change: AccessChange) -> None:
        """Let nobody else share the questions that are with rooms."""
        self._shared.clear()

    def missed(self) -> None:
        """Let nobody else share the questions that are with rooms."""
        self._shared.clear()

    def fresh_again(self) -> None:
        """Take note that rooms was reached."""
        self._followed.set()

    def _ask(self, query: AccessQuery) -> asyncio.Task[AccessGrant]:
        task = asyncio.create_task(self._put(query))
        self._shared[query] = task
        self._asked.add(task)

        def answered(task: asyncio.Task[AccessGrant]) -> None:
            self._asked.discard(task)
            if self._shared.get(query) is task:
                del self._shared[query]
            if not task.cancelled():
                # Looked at, because those who asked may all have gone.
                task.exception()

        task.add_done_callback(answered)
        return task

    async def _put(self, query: AccessQuery) -> AccessGrant:
        asked = self._cache.asking()
        grant = await self._client.check(query)
        self._cache.keep(query, grant, asked)
        return grant


def _for_caller(answer: AccessGrant | ChatkitError, query: AccessQuery) -> AccessGrant | ChatkitError:
    try:
        return answer.for_caller(query) if isinstance(answer, AccessGrant) else answer
    except ChatkitError as error:
        return error
