"""W10, start: an app starts, of a user with 20 rooms and of one with 1,000, and comes back after a cut.

One app after the other, each on a connection of its own, as a session of the Python client does it
(`load/starts.py`): the stream of a device with the rooms, their members' ids, unread counts and last messages, then the
last 20 messages of the three newest rooms; or, after a cut, the five messages that each of these has missed. It is
always the same user, so that nothing is cold but what the suite does not keep. Those who come and go are online.

The bare server answers as many bytes in as many messages of a stream and in as many calls, on as many connections.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.figures import BARE, Figure, Options, of_calls
from benchmarks.load import starts
from benchmarks.load.jobs import BareStartsJob, StartsJob
from benchmarks.load.process import in_own_process
from benchmarks.suite import Suite

NAME = "start"
_FEW, _MANY, _QUICK_MANY = 20, 1_000, 100
_MEMBERS, _MESSAGES = 5, 30
_KB = 1_000


@dataclass(frozen=True, slots=True)
class User:
    """A user, and of how many rooms a member."""

    id: str
    rooms: int


async def run(suite: Suite, options: Options) -> list[Figure]:
    """Start and come back, past the edge and through it, and have as many bytes from the bare server."""
    figures = []
    for rooms in (_FEW, options.size(_MANY, _QUICK_MANY)):
        user = await fill(suite, f"{NAME}-{rooms}", rooms)
        for is_resumed in (False, True):
            figures += await _compared(suite, options, user, is_resumed=is_resumed)
    return figures


async def fill(suite: Suite, name: str, rooms: int) -> User:
    """Make a user with rooms in which others are members, too, and have said something."""
    suite.say(f"{NAME}: a user with {rooms:,} rooms")

    def make() -> User:
        members = suite.seeding.users(f"{name}-user-", _MEMBERS)
        suite.seeding.logs(suite.seeding.rooms(f"{name}-", rooms, members), _MESSAGES, members[-1])
        suite.seeding.settle()
        return User(members[0], rooms)

    return await asyncio.to_thread(make)


async def measure(
    suite: Suite, options: Options, user: User, via: str, *, is_resumed: bool = False
) -> tuple[Figure, Mapping[str, Any]]:
    """Measure in one way; returns what was found, too, of which the bare server is asked for as much."""
    case = _case(user, is_resumed=is_resumed)
    suite.say(f"{NAME}: {case}, {via}")
    job = StartsJob(
        address=suite.edge if via == "edge" else suite.address("messages"),
        token=suite.token(user.id),
        rooms=user.rooms,
        is_resumed=is_resumed,
        groups=suite.groups,
        seconds=options.seconds / 2,
        warm_up_seconds=options.warm_up / 4,
    )
    found = await in_own_process(starts.run, job)
    return _figure(case, via, found), found


async def _compared(suite: Suite, options: Options, user: User, *, is_resumed: bool) -> list[Figure]:
    direct, found = await measure(suite, options, user, "services", is_resumed=is_resumed)
    edge, _ = await measure(suite, options, user, "edge", is_resumed=is_resumed)
    bare = await _bare(suite, options, direct.case, found)
    return [*(_beside(figure, bare) for figure in (direct, edge)), bare]


async def _bare(suite: Suite, options: Options, case: str, found: Mapping[str, Any]) -> Figure:
    suite.say(f"{NAME}: {case}, as many bytes, bare")
    job = BareStartsJob(
        address=suite.bare,
        request_bytes=found["request_bytes"],
        frames=found["frames"],
        answers=found["answers"],
        groups=suite.bare_groups,
        seconds=options.seconds / 2,
        warm_up_seconds=options.warm_up / 4,
    )
    return _figure(case, "bare", await in_own_process(starts.run_bare, job))


def _beside(figure: Figure, bare: Figure) -> Figure:
    """Return a figure with what it is beside the bare server's."""
    cpu_us = bare.cpu_us[BARE]
    details = {**figure.details, "cpu_to_bare": figure.server_us / cpu_us if cpu_us else 0.0}
    of_bare = figure.per_second / bare.per_second if bare.per_second else None
    return replace(figure, of_bare=of_bare, details=details)


def _figure(case: str, via: str, found: Mapping[str, Any]) -> Figure:
    figure = of_calls(NAME, case, via, "start", found)
    shown = {name: found[name] for name in ("rooms", "read_states", "messages", "lost", "doubled") if name in found}
    wire = {
        "calls": 1 + len(found["answers"]),
        "frames": len(found["frames"]),
        "kb_received": found["received_bytes"] / _KB,
        "kb_sent": found["sent_bytes"] / _KB,
    }
    reasons = {"refused_with": ", ".join(found["reasons"])} if found["reasons"] else {}
    return replace(figure, details={**figure.details, **shown, **wire, **reasons})


def _case(user: User, *, is_resumed: bool) -> str:
    return f"{'back after a cut' if is_resumed else 'first start'}, {user.rooms:,} rooms"
