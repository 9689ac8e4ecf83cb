"""What is measured at each size of what grows: the operation of which one would think that it depends on that.

Each is done past the edge, but with replicas, among which the edge chooses.
"""

import asyncio
from dataclasses import replace

from chatkit.messages.v1 import read_states_service_pb2

from benchmarks.figures import Figure, Options, of_calls, per_unit
from benchmarks.load import calls, fanout
from benchmarks.load.jobs import Caller, CallsJob, RoomJob
from benchmarks.load.process import in_own_process
from benchmarks.load.room import SEND
from benchmarks.suite import Suite
from benchmarks.workloads import live_pairs, pages, starts
from benchmarks.workloads.sends import PLACEHOLDER, call_body
from services.stack.trouble import Trouble

_UNREAD = "/chatkit.messages.v1.ReadStatesService/ListReadStates"


async def page_of_rooms(suite: Suite, options: Options, size: int, before: int) -> Figure:
    """Fill the suite up to so many rooms, and read the page of 100 in the middle of all of them."""
    await asyncio.to_thread(_fill_rooms, suite, size, before)
    listing = pages.all_rooms(suite, size)
    tokens, walked = await pages.walk(suite, listing)
    if walked < size:
        raise Trouble(f"the service lists {walked:,} of {size:,} rooms")
    body = pages.at(listing, tokens[len(tokens) // 2]).SerializeToString()
    return await _called(suite, options, "page of ListRooms", listing.service, listing.path, listing.token, body)


async def send_to_members(suite: Suite, options: Options, size: int, _before: int) -> Figure:
    """Send into a room with so many members, of whom nobody follows it: one send after the other."""
    (room,) = await suite.rooms(f"growth-members-{size}", 1, size)
    return await _called(suite, options, "send", "messages", SEND, room.tokens[0], call_body(room.id))


async def unread_count(suite: Suite, options: Options, size: int, _before: int) -> Figure:
    """Read how much is unread in a room of whose messages the only member has read none."""
    (room,) = await suite.rooms(f"growth-history-{size}", 1, 1)
    await asyncio.to_thread(suite.seeding.messages, room.id, size)
    await asyncio.to_thread(suite.seeding.settle)
    body = read_states_service_pb2.ListReadStatesRequest().SerializeToString()
    return await _called(suite, options, "unread count", "messages", _UNREAD, room.tokens[0], body)


async def send_to_subscribers(suite: Suite, options: Options, size: int, _before: int) -> Figure:
    """Send into a room whose members all follow it, one send after the other, with all deliveries.

    The next send may come before the last delivery of the one before, and deliveries that pile up are joined.
    """
    job = RoomJob(
        address=suite.address("messages"),
        rooms=await suite.rooms(f"growth-subscribers-{size}", 1, size),
        groups=suite.groups,
        seconds=options.seconds,
        warm_up_seconds=options.warm_up,
        namespace=suite.namespace(),
    )
    found = await in_own_process(fanout.run, job)
    sends = round(found["sends_per_second"] * found["seconds"])
    return Figure(
        "",
        "",
        "services",
        "send to all",
        per_second=found["sends_per_second"],
        p50_ms=found["p50_ms"],
        p99_ms=found["p99_ms"],
        cpu_us=per_unit(found["cpu_seconds"], sends),
        details={"count": sends, **{name: found[name] for name in ("seconds", "acknowledged", "lost", "doubled")}},
    )


async def first_start(suite: Suite, options: Options, size: int, _before: int) -> Figure:
    """Start the app of a user with so many rooms, all of which its stream follows."""
    user = await starts.fill(suite, f"growth-followed-{size}", size)
    figure, _ = await starts.measure(suite, options, user, "services")
    return replace(figure, unit="first start")


async def send_to_pairs(suite: Suite, options: Options, size: int) -> Figure:
    """Send into 50 rooms of two who both follow, through the edge, which shares them out among the replicas.

    Each replica asks once who may send what, which is over before it is measured.
    """
    prefix = f"growth-{size}-"
    figure = await live_pairs.measure(suite, options, live_pairs.CALLS, "edge", prefix, warm_ups=size)
    return replace(figure, unit="send in a pair")


def _fill_rooms(suite: Suite, size: int, before: int) -> None:
    suite.seeding.rooms(f"growth-rooms-{size}-", size - before, [])
    suite.seeding.settle()


async def _called(
    suite: Suite, options: Options, unit: str, service: str, path: str, token: str, body: bytes
) -> Figure:
    """Let one caller make one call after the other."""
    job = CallsJob(
        address=suite.address(service),
        path=path,
        callers=[Caller(token, body)],
        groups=suite.groups,
        seconds=options.seconds,
        warm_up_seconds=options.warm_up,
        placeholder=PLACEHOLDER,
        namespace=suite.namespace(),
    )
    return of_calls("", "", "services", unit, await in_own_process(calls.run, job))
