"""A history that is being made: by people who write, follow, read, come and go at random, until it is enough."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

from chatkit_client import ChatkitError, Client
from chatkit_client.types import AddMembersRequest, CreateRoomRequest, CreateUserRequest, DeleteRoomRequest
from services.stack.proof.clients import ghosts, moving, reading, settling, writing
from services.stack.proof.clients.reading import Follower
from services.stack.proof.clients.work import Person, Work
from services.stack.proof.forgetting import forget
from services.stack.proof.history import History, MemberChange, Outcome

__all__ = ["Person", "Recording"]

Act = Callable[[Work, Person, str], Awaitable[object]]
# Of a hundred things that a person does, so many of each kind.
_ACTS: dict[Act, int] = {
    writing.write: 50,
    writing.send_twice: 6,
    writing.send_many: 5,
    writing.send_batch: 5,
    writing.send_what_is_refused: 3,
    writing.attach: 3,
    writing.read_on: 15,
    writing.read: 13,
}
_MOVES: dict[Act, int] = {moving.come_and_go: 3, moving.be_muted: 1}
_DELETIONS: dict[Act, int] = {ghosts.delete_a_user: 1, ghosts.delete_a_room: 1}
# How many things a person does at once, and how long everybody pauses at most between two.
_AT_ONCE = 2
_PAUSE_SECONDS, _DELETION_PAUSE_SECONDS = 0.05, 2.0


class Recording:
    """A run; `seed` says what is done, though not how it is interleaved. The last person comes and goes."""

    def __init__(
        self,
        people: Sequence[Person],
        admin: Client,
        name: str,
        rooms: int,
        seed: int,
        *,
        patience_seconds: float = 60.0,
    ) -> None:
        names = [f"{name}-{number}" for number in range(rooms)]
        self._work = Work(people, admin, name, names, random.Random(seed), patience_seconds=patience_seconds)
        self._hall = f"{name}-hall"
        pairs = [(person, reading.several_rooms) for person in people] + [(person, reading.device) for person in people]
        self._followers = [Follower(self._work, person, way, names) for person, way in pairs]
        self._followers += [
            Follower(self._work, person, reading.one_room, [names[number % rooms]])
            for number, person in enumerate(people)
        ]

    @property
    def history(self) -> History:
        """What has been recorded until now."""
        return self._work.history

    async def prepare(self) -> None:
        """Make the users and the rooms, all of whose members everybody is."""
        work = self._work
        ids = [person.user_id for person in work.people]
        for user_id in ids:
            await work.make(CreateUserRequest(id=user_id, name=user_id))
        for room_id in (*work.rooms, self._hall):
            await work.make(
                CreateRoomRequest(id=room_id, name=room_id, visibility="VISIBILITY_PUBLIC", creator_id=ids[0])
            )
            await work.must(AddMembersRequest(room_id=room_id, user_ids=ids[1:]))
        self.history.member_changes += [
            MemberChange(room_id, user_id, True, Outcome.ACKNOWLEDGED) for room_id in work.rooms for user_id in ids
        ]
        await moving.make_role(work)

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        """Do all that while the context is open; then let it settle, and read how it stands."""
        work = self._work
        async with asyncio.TaskGroup() as group:
            for person in work.people:
                for _ in range(_AT_ONCE):
                    group.create_task(self._again_and_again(_ACTS, person, _PAUSE_SECONDS, work.rooms))
            group.create_task(self._again_and_again(_MOVES, work.people[-1], _PAUSE_SECONDS, work.rooms))
            group.create_task(self._again_and_again(_DELETIONS, work.people[0], _DELETION_PAUSE_SECONDS, [self._hall]))
            hall = Follower(work, work.people[0], reading.one_room, [self._hall])
            for follower in (*self._followers, hall):
                group.create_task(follower.follow())
            try:
                yield
            finally:
                work.is_over.set()
        await self._settle()

    @contextmanager
    def disturbed(self) -> Iterator[None]:
        """Take note that something is done to the suite while the context is open: it may take away what is there."""
        self._work.calm.clear()
        try:
            yield
        finally:
            self._work.calm.set()

    def lose(self, since: float, until: float) -> None:
        """Take what was acknowledged in this time for lost by intent: a database was put back as it was before."""
        self._work.losses += 1
        forget(self.history, since, until)

    async def clean(self) -> None:
        """Delete what was made, but for the users."""
        for room_id in (*self._work.rooms, self._hall):
            await self._work.must(DeleteRoomRequest(room_id=room_id))
        await moving.delete_role(self._work)

    async def _again_and_again(self, acts: dict[Act, int], person: Person, pause: float, rooms: Sequence[str]) -> None:
        work = self._work
        while not work.is_over.is_set():
            act = work.chance.choices(list(acts), list(acts.values()))[0]
            losses = work.losses
            try:
                await act(work, person, work.chance.choice(rooms))
            except (ChatkitError, TimeoutError):
                if not await work.is_excused(losses):
                    raise
            await asyncio.sleep(work.chance.random() * pause)

    async def _settle(self) -> None:
        work = self._work
        await moving.bring_back(work, work.people[-1])
        ends = await settling.read_logs(work)
        await asyncio.gather(*(follower.read_to_the_end(ends) for follower in self._followers))
        # Half of the devices stay.
        staying = [one for one in self._followers if one.way is reading.device][::2]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one.stay()) for one in staying]
            try:
                await settling.settle(work, staying)
            finally:
                for task in tasks:
                    task.cancel()
