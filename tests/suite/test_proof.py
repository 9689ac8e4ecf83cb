"""A suite whose processes are killed keeps its promises, by the record of its clients."""

import signal
from contextlib import AsyncExitStack

import pytest

from services.stack.commands.connecting import connected
from services.stack.proof.history import Kind
from services.stack.proof.recording import Person, Recording
from services.stack.proof.telling import lines
from services.stack.proof.verdict import judge
from tests.support.eventually import eventually
from tests.support.stack import running_stack

pytestmark = pytest.mark.slow
_USERS = ("ada", "ben", "cleo", "dan")
# While rooms can't be reached, who was removed may hear for so long.
_LEAK_SECONDS = 30.0


async def test_every_promise_is_kept_while_processes_are_killed() -> None:
    async with running_stack("--replicas", "messages=2") as stack, AsyncExitStack() as opened:
        people = [Person(who, await opened.enter_async_context(connected(stack.home, who))) for who in _USERS]
        admin = await opened.enter_async_context(connected(stack.home, None))
        recording = Recording(people, admin, "proof", rooms=2, seed=1)
        await recording.prepare()
        async with recording.going_on():
            for name in ("messages-1", "nats", "messages-2", "edge", "rooms", "postgres"):
                wanted = len(recording.history.writes) + 60
                await eventually(lambda wanted=wanted: len(recording.history.writes) >= wanted)  # type: ignore[misc]
                stack.signal(name, signal.SIGKILL)
            wanted = len(recording.history.writes) + 60
            await eventually(lambda: len(recording.history.writes) >= wanted)
    verdict = judge(recording.history, _LEAK_SECONDS)
    assert not verdict.faults, "\n".join(lines(verdict))
    assert verdict.is_sound
    assert all(verdict.acknowledged[kind] for kind in Kind)
    assert verdict.resumed > 0
    assert verdict.pages > 0
    assert verdict.leak_seconds
