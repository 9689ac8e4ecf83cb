"""followed: one messages process follows more and more rooms, nearly all of them idle, while somebody sends.

Neither the sends nor the longest silence of a stream may depend on how many rooms are followed. Superusers' tokens
follow them, a thousand rooms on each stream, so that nobody has to be a member.
"""

import asyncio
from dataclasses import replace

from benchmarks.figures import Figure, Options, of_calls
from benchmarks.load import followed
from benchmarks.load.jobs import FollowedJob
from benchmarks.load.process import in_own_process
from benchmarks.suite import Suite

NAME = "followed"
_SIZES = (20_000, 60_000, 180_000)
_QUICK_SIZES = (2_000,)
_FEW = 1_000
_ROOMS_OF_STREAM = 1_000
_STREAMS_OF_USER = 100
_SENDS_PER_SECOND = 20.0
# Two heartbeats come in it, whatever the phase.
_LEAST_SECONDS, _LEAST_QUICK_SECONDS = 32.0, 16.0


async def run(suite: Suite, options: Options) -> list[Figure]:
    """Follow a few rooms, then more, and compare each time with the few."""
    sizes = sorted({_FEW, *(options.rooms or (_QUICK_SIZES if options.quick else _SIZES))})
    most = sizes[-1]
    suite.say(f"{NAME}: {most:,} rooms")
    room_ids = await asyncio.to_thread(_fill, suite, most)
    needed = most // _ROOMS_OF_STREAM // _STREAMS_OF_USER + 1
    users = await asyncio.to_thread(suite.seeding.users, f"{NAME}-user-", needed)
    tokens = [suite.token_of_superuser(user_id) for user_id in users]
    parts = [
        (tokens[number // _STREAMS_OF_USER], room_ids[start : start + _ROOMS_OF_STREAM])
        for number, start in enumerate(range(0, most, _ROOMS_OF_STREAM))
    ]
    (own,) = await suite.rooms(f"{NAME}-own", 1, 1)
    streams, before = [], 0
    for size in sizes:
        streams.append(parts[before : -(-size // _ROOMS_OF_STREAM)])
        before = -(-size // _ROOMS_OF_STREAM)
    await suite.restart("messages")
    suite.say(f"{NAME}: {', '.join(f'{size:,}' for size in sizes)} rooms followed, services")
    job = FollowedJob(
        address=suite.address("messages"),
        streams=streams,
        room=own,
        groups=suite.groups,
        seconds=max(options.seconds, _LEAST_QUICK_SECONDS if options.quick else _LEAST_SECONDS),
        per_second=_SENDS_PER_SECOND,
        namespace=suite.namespace(),
    )
    found = (await in_own_process(followed.run, job))["found"]
    few = found[0]
    figures = []
    for size, one in zip(sizes, found, strict=True):
        figure = of_calls(NAME, f"{size:,} rooms followed", "services", "send", one)
        shown = {
            "followed": one["rooms"],
            "opening_seconds": one["opening_seconds"],
            "longest_silence_seconds": one["longest_silence_seconds"],
            "p99_to_few": one["p99_ms"] / few["p99_ms"] if few["p99_ms"] else 0.0,
            "silence_to_few": one["longest_silence_seconds"] / few["longest_silence_seconds"],
            "lost": one["lost"] + max(0, size - one["rooms"]),
            "refused": one["refused"],
        }
        if one["reasons"]:
            shown["closed_with"] = ", ".join(one["reasons"])
        figures.append(replace(figure, details={**figure.details, **shown}))
    return figures


def _fill(suite: Suite, count: int) -> list[str]:
    room_ids = suite.seeding.rooms(f"{NAME}-", count, [])
    suite.seeding.empty_logs(f"{NAME}-")
    suite.seeding.settle()
    return room_ids
