"""The process of an attack. It is told to begin and to end, and answers how far it has come.

`begin` returns when the attack is at its full size, with what has come of it; `end` with what has come of it in all.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol, assert_never

from benchmarks.load.attacks.held_calls import HeldCalls
from benchmarks.load.attacks.reopened import Reopened
from benchmarks.load.attacks.repeated import Repeated
from benchmarks.load.attacks.resets import Resets
from benchmarks.load.attacks.silent import Silent
from benchmarks.load.jobs import AttackJob, HeldCallsJob, ReopenedJob, RepeatedJob, ResetsJob, SilentJob
from benchmarks.load.process import Answer


class Attack(Protocol):
    """Whoever attacks."""

    async def begin(self) -> None:
        """Come to full size."""

    def found(self) -> dict[str, Any]:
        """Return what has come of it: `came` counts what the attack consists of."""


@asynccontextmanager
async def attacking(job: AttackJob) -> AsyncIterator[Answer]:
    """Attack when told; what is open ends with the process."""
    attack = _attack(job)

    async def answer(question: str) -> dict[str, Any]:
        if question == "begin":
            await attack.begin()
        return attack.found()

    yield answer


def _attack(job: AttackJob) -> Attack:
    match job:
        case HeldCallsJob():
            return HeldCalls(job)
        case SilentJob():
            return Silent(job)
        case RepeatedJob():
            return Repeated(job)
        case ReopenedJob():
            return Reopened(job)
        case ResetsJob():
            return Resets(job)
        case _:
            assert_never(job)
