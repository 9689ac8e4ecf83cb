"""W4: 8 clients read the last 100 of a room's 10,000 messages, again and again."""

import asyncio
from dataclasses import replace

from chatkit.messages.v1 import messages_service_pb2

from benchmarks import echo
from benchmarks.figures import Figure, Options, of_calls
from benchmarks.load import calls
from benchmarks.load.jobs import Caller, CallsJob, Room
from benchmarks.load.process import in_own_process
from benchmarks.load.room import LIST
from benchmarks.seeding import TEXT_BYTES
from benchmarks.suite import Suite

NAME = "W4"
CLIENTS, PAGE = 8, 100
CASE = "8 clients, the last 100 messages"


async def run(suite: Suite, options: Options) -> list[Figure]:
    """Read past the edge and through it, and as many bytes from the bare server."""
    room = await fill(suite, options, "w4")
    measured = [await read(suite, options, room, via) for via in ("services", "edge")]
    suite.say(f"{NAME}: as many bytes, bare")
    size = str(measured[0].details["answer_bytes"]).encode()
    job = CallsJob(
        address=suite.bare,
        path=echo.BYTES,
        callers=[Caller(token, size) for token in room.tokens],
        groups=suite.bare_groups,
        seconds=options.seconds,
        warm_up_seconds=options.warm_up,
    )
    bare = of_calls(NAME, "8 clients, as many bytes", "bare", "call", await in_own_process(calls.run, job))
    return [replace(figure, of_bare=figure.per_second / bare.per_second) for figure in measured] + [bare]


def size(options: Options) -> int:
    """Return how many messages the room has."""
    return options.size(10_000, 1_000)


async def fill(suite: Suite, options: Options, name: str, text_bytes: int = TEXT_BYTES) -> Room:
    """Make a room with all its messages."""
    (room,) = await suite.rooms(name, 1, CLIENTS)
    await asyncio.to_thread(suite.seeding.messages, room.id, size(options), text_bytes=text_bytes)
    await asyncio.to_thread(suite.seeding.settle)
    return room


async def read(suite: Suite, options: Options, room: Room, via: str) -> Figure:
    """Read in one way."""
    suite.say(f"{NAME}: {CASE}, {via}")
    body = messages_service_pb2.ListMessagesRequest(room_id=room.id, page_size=PAGE).SerializeToString()
    job = CallsJob(
        address=suite.edge if via == "edge" else suite.address("messages"),
        path=LIST,
        callers=[Caller(token, body) for token in room.tokens],
        groups=suite.groups,
        seconds=options.seconds,
        warm_up_seconds=options.warm_up,
    )
    return of_calls(NAME, CASE, via, "page", await in_own_process(calls.run, job))
