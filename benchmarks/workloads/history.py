"""history: a room with 100,000 messages beside one with 100.

Opening a subscription, a page from the middle, and the unread count must cost in the one what they cost in the other.
"""

import asyncio
from dataclasses import replace
from typing import Any

from chatkit.messages.v1 import messages_service_pb2

from benchmarks.contract import find_method
from benchmarks.figures import Figure, Options, of_calls
from benchmarks.load import calls, openings
from benchmarks.load.jobs import Caller, CallsJob, OpeningsJob, Room
from benchmarks.load.process import in_own_process
from benchmarks.load.room import LIST
from benchmarks.suite import Suite
from services.stack.trouble import Trouble

NAME = "history"
_SHORT = 100
_PAGE = 20
_READ_STATES = ("ReadStatesService", "ListReadStates")


async def run(suite: Suite, options: Options) -> list[Figure]:
    """Do the same in both rooms."""
    long = options.size(100_000, 5_000)
    suite.say(f"{NAME}: a room with {long:,} messages beside one with {_SHORT}")
    rooms = dict(zip((_SHORT, long), await suite.rooms("history", 2, 1), strict=True))
    for count, room in rooms.items():
        await asyncio.to_thread(suite.seeding.messages, room.id, count)
    await asyncio.to_thread(suite.seeding.settle)
    for count, room in rooms.items():
        if await suite.last_seq(room) != count:
            raise Trouble(f"the service does not read what was seeded into {room.id}")
    figures = []
    for measure in (_open, _page, _unread):
        pair = [await measure(suite, options, room, count) for count, room in rooms.items()]
        figures += _compared([figure for figure in pair if figure is not None])
    return figures


def left_out() -> list[str]:
    """Say what the contract has no RPC for."""
    if find_method(*_READ_STATES) is None:
        return [f"{NAME}: unread counts, because the contract has no {_READ_STATES[1]}"]
    return []


def _compared(pair: list[Figure]) -> list[Figure]:
    if not pair:
        return []
    short, long = pair
    ratios = {
        "long_to_short_p50": long.p50_ms / short.p50_ms if short.p50_ms else 0.0,
        "long_to_short_cpu": long.server_us / short.server_us if short.server_us else 0.0,
    }
    return [short, replace(long, details={**long.details, **ratios})]


async def _open(suite: Suite, options: Options, room: Room, count: int) -> Figure:
    job = OpeningsJob(
        address=suite.address("messages"),
        room=room,
        last=_PAGE,
        groups=suite.groups,
        seconds=options.seconds / 2,
        warm_up_seconds=options.warm_up / 4,
    )
    found = await in_own_process(openings.run, job)
    return of_calls(NAME, f"opening, {count:,} messages", "services", "opening", found)


async def _page(suite: Suite, options: Options, room: Room, count: int) -> Figure:
    request = messages_service_pb2.ListMessagesRequest(room_id=room.id, from_seq=count // 2, page_size=_PAGE)
    found = await _call(suite, options, room, LIST, request)
    return of_calls(NAME, f"middle page, {count:,} messages", "services", "page", found)


async def _unread(suite: Suite, options: Options, room: Room, count: int) -> Figure | None:
    method = find_method(*_READ_STATES)
    if method is None:
        return None
    found = await _call(suite, options, room, method.path, method.request_class())
    figure = of_calls(NAME, f"unread count, {count:,} messages", "services", "listing", found)
    (state,) = method.response_class.FromString(found["answer"]).read_states  # type: ignore[attr-defined]
    return replace(figure, details={**figure.details, "unread_count": state.unread_count})


async def _call(suite: Suite, options: Options, room: Room, path: str, request: Any) -> dict[str, Any]:
    job = CallsJob(
        address=suite.address("messages"),
        path=path,
        callers=[Caller(room.tokens[0], request.SerializeToString())],
        groups=suite.groups,
        seconds=options.seconds / 2,
        warm_up_seconds=options.warm_up / 4,
    )
    return await in_own_process(calls.run, job)
