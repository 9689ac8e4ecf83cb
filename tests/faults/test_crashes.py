"""What was acknowledged arrives once and in order, whatever is killed meanwhile.

Each test plays rooms of its own through the edge while a subscriber per room checks what arrives, breaks something when
a part has been played, and lets the rest go on. What is broken comes back, so one suite takes one fault after another;
a test that fails with it leaves it to nobody.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import pytest_asyncio

from chatkit_client import connect
from services.stack import sign_in
from services.stack.replay.export import Export, Message, Part, Room, User
from services.stack.replay.player import Player, Result
from tests.support.stack import RunningStack, running_stack

_ROOMS, _MESSAGES = 6, 150
_USERS = tuple(User(f"user {number}", f"User {number}", "", None) for number in range(5))
Fault = Callable[[RunningStack], Awaitable[None]]
pytestmark = pytest.mark.asyncio(loop_scope="module")


class Lender:
    """Lends one suite again and again, until somebody's test fails with it."""

    def __init__(self, *options: str) -> None:
        self._options = options
        self._running = AsyncExitStack()
        self._stack: RunningStack | None = None

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[RunningStack]:
        """Lend it, started if there is none."""
        if self._stack is None:
            self._stack = await self._running.enter_async_context(running_stack(*self._options))
        try:
            yield self._stack
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Stop it."""
        self._stack = None
        await self._running.aclose()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def single() -> AsyncIterator[Lender]:
    """Have one process of each service."""
    lender = Lender()
    yield lender
    await lender.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def doubled() -> AsyncIterator[Lender]:
    """Have two processes of each service."""
    lender = Lender("--workers", "2")
    yield lender
    await lender.close()


def _export(name: str) -> Export:
    return Export(_USERS, tuple(_room(f"{name} {number}") for number in range(_ROOMS)))


def _room(room_id: str) -> Room:
    messages = tuple(
        Message(_USERS[number % len(_USERS)].id, (Part("text/plain", f"{room_id}, {number}", None),), f"m{number}")
        for number in range(_MESSAGES)
    )
    return Room(room_id, room_id, False, _USERS[0].id, tuple(user.id for user in _USERS), None, messages)


async def _play(stack: RunningStack, name: str, fault: Fault | None = None) -> Result:
    """Play rooms that are called so, and let the fault happen when a quarter has been played."""
    played, due = 0, asyncio.Event()

    def progress(count: int) -> None:
        nonlocal played
        played += count
        if played >= _ROOMS * _MESSAGES // 4:
            due.set()

    def token(user_id: str | None) -> str:
        return sign_in.token(stack.home, user_id, su=user_id is None)

    async def happen() -> None:
        await due.wait()
        if fault is not None:
            await fault(stack)

    async with (
        asyncio.timeout(240),
        connect(stack.address, token(None)) as client,
        asyncio.TaskGroup() as group,
    ):
        group.create_task(happen())
        playing = group.create_task(Player(client, token, progress).play(_export(name)))
    return playing.result()


async def _kill_messages(stack: RunningStack) -> None:
    stack.signal("messages", signal.SIGKILL)


async def _kill_postgres(stack: RunningStack) -> None:
    stack.signal("postgres", signal.SIGKILL)


async def _restart_postgres(stack: RunningStack) -> None:
    # Fast shutdown: open transactions are rolled back; `up` starts it again.
    stack.signal("postgres", signal.SIGINT)


async def _kill_edge(stack: RunningStack) -> None:
    stack.signal("edge", signal.SIGKILL)


async def _kill_rooms(stack: RunningStack) -> None:
    stack.signal("rooms", signal.SIGKILL)


async def _stop_messages_for_a_while(stack: RunningStack) -> None:
    pid = stack.pid("messages")
    os.kill(pid, signal.SIGSTOP)
    try:
        # The fault is that so much time passes.
        await asyncio.sleep(20)
    finally:
        os.kill(pid, signal.SIGCONT)


async def _kill_one_of_two(stack: RunningStack) -> None:
    stack.signal("messages-1", signal.SIGKILL)


async def _kill_nats(stack: RunningStack) -> None:
    stack.signal("nats", signal.SIGKILL)


async def _stop_nats_for_a_while(stack: RunningStack) -> None:
    pid = stack.pid("nats")
    os.kill(pid, signal.SIGSTOP)
    try:
        # Longer than its clients wait for an answer.
        await asyncio.sleep(15)
    finally:
        os.kill(pid, signal.SIGCONT)


async def _kill_up_and_start_it_again(stack: RunningStack) -> None:
    await stack.kill()
    await stack.start()


async def _hold(stack: RunningStack, fault: Fault) -> None:
    result = await _play(stack, _name(fault), fault)
    assert result.is_sound, result
    assert not result.skipped
    # A send whose answer was lost before the subscriber opened counts as there already; none was before it here.
    assert (result.sent, result.delivered) == (_ROOMS * _MESSAGES, _ROOMS * _MESSAGES)
    again = await _play(stack, _name(fault))
    assert (again.sent, again.already_there) == (0, _ROOMS * _MESSAGES)
    assert again.is_sound


def _name(fault: Fault) -> str:
    return fault.__name__.strip("_").replace("_", " ")


@pytest.mark.parametrize(
    "fault",
    [
        _kill_messages,
        _restart_postgres,
        _kill_postgres,
        _kill_up_and_start_it_again,
        _kill_edge,
        _kill_rooms,
        pytest.param(_stop_messages_for_a_while, marks=pytest.mark.slow),
    ],
    ids=_name,
)
async def test_nothing_acknowledged_is_lost_or_doubled(single: Lender, fault: Fault) -> None:
    async with single.lend() as stack:
        await _hold(stack, fault)


@pytest.mark.parametrize(
    "fault",
    [_kill_one_of_two, _kill_nats, pytest.param(_stop_nats_for_a_while, marks=pytest.mark.slow)],
    ids=_name,
)
async def test_nothing_is_lost_or_doubled_between_replicas(doubled: Lender, fault: Fault) -> None:
    async with doubled.lend() as stack:
        await _hold(stack, fault)
