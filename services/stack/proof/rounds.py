"""A check: one round of work after the other, each in rooms of its own, each judged when it is over.

Rounds keep what has to be remembered, and what shows a fault, small, however long the check takes.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import count

from chatkit_client import Client
from chatkit_client.types import DeleteUserRequest
from services.stack.proof.clients.work import Person
from services.stack.proof.recording import Recording
from services.stack.proof.verdict import Verdict, judge

_NAMES = ("ada", "ben", "cleo", "dan", "eve", "fay", "gus", "hal")

Connect = Callable[[str | None], AbstractAsyncContextManager[Client]]
# Lets a round go on until the time that it is told, and returns what disturbed the suite meanwhile.
Meanwhile = Callable[[Recording, float], Awaitable[list[str]]]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Course:
    """How a check goes: `name` begins the ids of all that it makes."""

    name: str
    seed: int
    seconds: float
    round_seconds: float
    # Who was removed may hear what is on its way for so long.
    leak_seconds: float
    people: int = 6
    rooms: int = 3

    def goes_on(self, elapsed: float) -> bool:
        """Whether there is time for another round, or for most of one: what it takes to judge it comes on top."""
        return self.seconds - elapsed >= self.round_seconds / 2


async def checked(course: Course, connect: Connect, meanwhile: Meanwhile, say: Say) -> Verdict:
    """Go through rounds until the time is over; the first in which a promise was not kept is the last."""
    verdict = Verdict()
    began = time.monotonic()
    async with _people(course, connect) as (people, admin):
        for number in count():
            name = f"{course.name}-{number + 1}"
            recording = Recording(people, admin, name, course.rooms, course.seed * 1_000 + number)
            await recording.prepare()
            async with recording.going_on():
                disturbed = await meanwhile(recording, time.monotonic() + course.round_seconds)
            one = judge(recording.history, course.leak_seconds)
            verdict += one
            await recording.clean()
            elapsed = time.monotonic() - began
            say(_told(number, one, disturbed, elapsed))
            if one.faults or not course.goes_on(elapsed):
                break
        for person in people:
            await admin.call(DeleteUserRequest(user_id=person.user_id), repeatable=True)
    return verdict


def _told(number: int, one: Verdict, disturbed: list[str], seconds: float) -> str:
    found = "kept" if one.is_sound else "BROKEN"
    done = f"{one.acknowledged.total():,} writes, {one.arrivals:,} entries read"
    return f"{seconds:7.1f} s  round {number + 1}: {found}; {done}" + "".join(f"; {name}" for name in disturbed)


@asynccontextmanager
async def _people(course: Course, connect: Connect) -> AsyncIterator[tuple[list[Person], Client]]:
    async with AsyncExitStack() as stack:
        admin = await stack.enter_async_context(connect(None))
        ids = [f"{course.name}-{name}" for name in _NAMES[: course.people]]
        yield [Person(one, await stack.enter_async_context(connect(one))) for one in ids], admin
