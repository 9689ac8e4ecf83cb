"""The traffic of an arrangement: clients that record what they see, and every method that both releases have.

All of it goes through the edge, until it may end and enough has been done. What was recorded is then judged.
"""

import asyncio
from collections.abc import Collection, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import count

from chatkit_client import Client
from chatkit_client.types import AddMembersRequest, CreateUserRequest, ListUserRoomsRequest
from services.stack.proof.recording import Person, Recording
from services.stack.proof.verdict import judge
from tests.checks.mixed.clients import Clients
from tests.checks.mixed.counts import Counts
from tests.checks.mixed.follower import Follower
from tests.checks.mixed.methods import Methods
from tests.support import tokens
from tests.support.eventually import eventually

_ROOMS, _PEOPLE = 3, 4
# How many writes there are at least.
_WRITES = 200
# For how long a user who was removed may hear of the room: what is on its way, and while rooms can't be reached.
_LEAK_SECONDS, _LEAK_SECONDS_OF_RESTARTS = 5.0, 30.0


@dataclass
class Traffic:
    """The traffic of one arrangement, whose users and rooms have its number in their names."""

    number: int
    address: str
    counts: Counts
    # The paths of the methods that both releases have.
    methods: Collection[str]
    # Whether processes are restarted meanwhile, and how often they were: only then streams end.
    is_disturbed: bool = False
    restarts: int = 0
    _recording: Recording | None = None
    _calls: list[Methods] = field(default_factory=list)
    _may_end: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def done(self) -> int:
        """How much has been done, for whoever wants some more of it."""
        writes = len(self._recording.history.writes) if self._recording is not None else 0
        return writes + sum(calls.done for calls in self._calls)

    def may_end(self) -> None:
        """Let no further round begin."""
        self._may_end.set()

    async def go(self) -> None:
        """Go on until it may end, judge what was recorded, and count."""
        clients = Clients(self.address, self.counts, self.is_disturbed)
        async with AsyncExitStack() as opened:
            admin = await opened.enter_async_context(clients.client(tokens.token(None, su=True)))
            people = [Person(who, await self._connected(opened, clients, who)) for who in self._names("person")]
            (reader_id,) = self._names("reader", 1)
            await admin.call(CreateUserRequest(id=reader_id, name="Reader"), repeatable=True)
            follower = Follower(await self._connected(opened, clients, reader_id), reader_id)
            async with follower.following():
                await self._record(clients, admin, people, follower, reader_id)
        self.counts.failed.extend(follower.failed)
        self.counts.repeated += follower.reopened
        # A restart ends a stream once at the most.
        if follower.reopened > self.restarts:
            self.counts.failed.append(
                f"the stream of rooms was opened again {follower.reopened} times, with {self.restarts} restarts"
            )

    async def _record(
        self, clients: Clients, admin: Client, people: list[Person], follower: Follower, reader_id: str
    ) -> None:
        self._recording = recording = Recording(people, admin, f"recorded {self.number}", _ROOMS, seed=self.number)
        await recording.prepare()
        rooms = (await people[0].client.call(ListUserRoomsRequest())).rooms
        for room in rooms:
            await admin.call(AddMembersRequest(room_id=room.id, user_ids=[reader_id]), repeatable=True)
            await follower.opened(room.id)
        async with recording.going_on():
            await self._call_methods(clients)
            await eventually(lambda: len(recording.history.writes) >= _WRITES)
        history = recording.history
        history.streams += await follower.streams(history.logs)
        self.counts.take(judge(history, _LEAK_SECONDS_OF_RESTARTS if self.is_disturbed else _LEAK_SECONDS))

    async def _call_methods(self, clients: Clients) -> None:
        """Call every method until it may end; what fails otherwise is counted, and the recording goes on."""
        try:
            for number in count():
                self._calls.append(Methods(f"{self.number}-{number}", self.methods, clients))
                await self._calls[-1].call_all()
                if self._may_end.is_set():
                    return
        except Exception as error:  # noqa: BLE001 - whatever it was, the releases did not work together
            self.counts.failed.extend(f"methods: {cause}" for cause in causes(error))

    async def _connected(self, opened: AsyncExitStack, clients: Clients, user_id: str) -> Client:
        return await opened.enter_async_context(clients.client(tokens.token(user_id)))

    def _names(self, what: str, how_many: int = _PEOPLE) -> list[str]:
        return [f"{what} {self.number}-{n}" for n in range(how_many)]


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield what really failed of what failed side by side."""
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from causes(one)
    else:
        yield error
