"""joins: 16 users who join public rooms, each another room with every call. Every join is a change of the schema."""

import asyncio
from dataclasses import replace

from chatkit.rooms.v1 import memberships_service_pb2

from benchmarks.figures import Figure, Options, of_calls
from benchmarks.load import calls
from benchmarks.load.jobs import Caller, CallsJob
from benchmarks.load.process import in_own_process
from benchmarks.suite import Suite
from benchmarks.workloads.sends import PLACEHOLDER

NAME = "joins"
_CALLERS = 16
CASE = f"{_CALLERS} users, another room with each call"
_PATH = "/chatkit.rooms.v1.MembershipsService/JoinRoom"
# More than anybody joins in the time.
_ROOMS_PER_SECOND = 3_000


async def run(suite: Suite, options: Options) -> list[Figure]:
    """Join rooms, and count the members that the rooms then have."""
    suite.say(f"{NAME}: {CASE}")
    namespace = suite.namespace()
    prefix = f"{NAME}-{namespace:04x}"
    users = await asyncio.to_thread(suite.seeding.users, f"{NAME}-user-", _CALLERS)
    count = int(_ROOMS_PER_SECOND * (options.seconds + options.warm_up))
    await asyncio.to_thread(suite.seeding.open_rooms, prefix, count)
    await asyncio.to_thread(suite.seeding.settle)
    request = memberships_service_pb2.JoinRoomRequest(room_id=f"{NAME}-{PLACEHOLDER.decode()}")
    job = CallsJob(
        address=suite.address("rooms"),
        path=_PATH,
        # Superusers who act as these users: for how many rooms a user may be in is not what is measured.
        callers=[Caller(suite.token_of_superuser(user), request.SerializeToString()) for user in users],
        groups=suite.groups,
        seconds=options.seconds,
        warm_up_seconds=options.warm_up,
        placeholder=PLACEHOLDER,
        namespace=namespace,
    )
    figure = of_calls(NAME, CASE, "services", "join", await in_own_process(calls.run, job))
    stored = await asyncio.to_thread(suite.seeding.memberships, prefix)
    return [replace(figure, details={**figure.details, "stored": stored})]
