"""erasing: a user with very many messages in very many rooms is deleted while somebody else sends.

The sends are compared with those of the same run before it. Nothing holds a lock longer than its transaction lasts, so
the longest transaction that is seen bounds that.
"""

import asyncio
import threading
from dataclasses import replace

from benchmarks.figures import Figure, Options, of_calls
from benchmarks.load import erasing
from benchmarks.load.jobs import ErasingJob
from benchmarks.load.process import in_own_process
from benchmarks.suite import Suite

NAME = "erasing"
_ROOMS, _QUICK_ROOMS = 500, 20
_MESSAGES_OF_ROOM = 200
_SENDS_PER_SECOND = 50.0
_MILLISECONDS = 1_000.0


async def run(suite: Suite, options: Options) -> list[Figure]:
    """Erase what one user has said, and make nobody's what another one has."""
    return [
        figure
        for case, keeps_messages in (("erased", False), ("kept under pseudonyms", True))
        for figure in await _deleted(suite, options, case, keeps_messages=keeps_messages)
    ]


async def _deleted(suite: Suite, options: Options, case: str, *, keeps_messages: bool) -> list[Figure]:
    count = options.size(_ROOMS, _QUICK_ROOMS)
    suite.say(f"{NAME}: {count * _MESSAGES_OF_ROOM:,} messages of a user in {count} rooms, {case}")
    prefix = f"{NAME}-{'kept' if keeps_messages else 'gone'}-"
    (user_id,) = await asyncio.to_thread(_fill, suite, prefix, count)
    (own,) = await suite.rooms(f"{prefix}own", 1, 1)
    job = ErasingJob(
        messages_address=suite.address("messages"),
        users_address=suite.address("users"),
        superuser_token=suite.superuser_token,
        user_id=user_id,
        keeps_messages=keeps_messages,
        room=own,
        groups=suite.groups,
        seconds=max(options.seconds, 1.0),
        per_second=_SENDS_PER_SECOND,
        namespace=suite.namespace(),
    )
    is_over = threading.Event()
    watching = asyncio.create_task(asyncio.to_thread(suite.seeding.longest_transaction, is_over))
    try:
        found = await in_own_process(erasing.run, job)
    finally:
        is_over.set()
        longest = await watching
    alone, beside = found["alone"], found["beside"]
    figure = of_calls(NAME, f"beside: {case}", "services", "send", beside)
    details = {
        "messages": count * _MESSAGES_OF_ROOM,
        "erasing_seconds": beside["erasing_seconds"],
        "messages_per_second": count * _MESSAGES_OF_ROOM / beside["erasing_seconds"],
        "p99_to_alone": beside["p99_ms"] / alone["p99_ms"] if alone["p99_ms"] else 0.0,
        "longest_transaction_ms": longest * _MILLISECONDS,
    }
    return [
        of_calls(NAME, f"alone, before: {case}", "services", "send", alone),
        replace(figure, details={**figure.details, **details}),
    ]


def _fill(suite: Suite, prefix: str, count: int) -> list[str]:
    users = suite.seeding.users(prefix, 1)
    for room_id in suite.seeding.rooms(prefix, count, users):
        suite.seeding.messages(room_id, _MESSAGES_OF_ROOM, sender_id=users[0])
    suite.seeding.settle()
    return users
