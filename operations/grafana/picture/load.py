"""What the suite has to do while its picture is taken: hours of few people and of many, in some minutes."""

import asyncio
from contextlib import AsyncExitStack

from chatkit.messages.v1 import messages_service_pb2
from chatkit.users.v1 import users_service_pb2

from benchmarks.load import devices, fanout
from benchmarks.load.attacks.attacking import attacking
from benchmarks.load.jobs import Asked, IdleJob, NeighboursJob, ReopenedJob, RepeatedJob, Room, RoomJob
from benchmarks.load.neighbours import neighbours
from benchmarks.load.process import companion, in_own_process
from benchmarks.load.room import LIST
from benchmarks.suite import Suite

# In how many rooms people are, and their sends in a second, one after the other and each for as long.
_PHASES = ((4, 10.0), (8, 40.0), (10, 80.0), (5, 25.0))
_MEMBERS, _USERS = 20, 8


async def put_on(suite: Suite, seconds: float) -> None:
    """Send, read, upload, follow, and ask for what is refused, for about so long."""
    rooms = await suite.rooms("picture-", max(count for count, _ in _PHASES), _MEMBERS)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(companion(neighbours, await _users(suite)))
        for job in (_refused(suite, rooms[0]), _reopened(suite, rooms[-1])):
            others = await stack.enter_async_context(companion(attacking, job))
            await others.ask("begin")
        for number, (count, per_second) in enumerate(_PHASES, 1):
            suite.say(f"{count} rooms, {per_second:g} sends/s ({number} of {len(_PHASES)})")
            await _phase(suite, rooms[:count], per_second, seconds / len(_PHASES))


async def _phase(suite: Suite, rooms: list[Room], per_second: float, seconds: float) -> None:
    """Let members of rooms come, send, read and go; some of them with devices that follow all that is theirs."""
    job = RoomJob(
        address=suite.edge,
        rooms=rooms,
        groups={},
        seconds=seconds,
        warm_up_seconds=0.0,
        namespace=suite.namespace(),
        per_second=per_second,
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(in_own_process(devices.run, IdleJob(suite.edge, rooms[: len(rooms) // 4], {}, seconds)))
        group.create_task(in_own_process(fanout.run, job))


async def _users(suite: Suite) -> NeighboursJob:
    """Return users who do a little of everything, all the time."""
    (room,) = await suite.rooms("picture-users-", 1, _USERS)
    ids = [f"picture-users--user-{number:06d}" for number in range(_USERS)]
    return NeighboursJob(
        address=suite.edge,
        room_id=room.id,
        members=list(zip(ids, room.tokens, strict=True)),
        sends_per_second=5.0,
        reads_per_second=4.0,
        uploads_per_second=0.5,
        namespace=suite.namespace(),
    )


def _reopened(suite: Suite, room: Room) -> ReopenedJob:
    """Return readers who look into their rooms every few seconds."""
    body = messages_service_pb2.SubscribeRoomsRequest(follow_memberships=True).SerializeToString()
    path = "/chatkit.messages.v1.MessagesService/SubscribeRooms"
    return ReopenedJob(suite.edge, [[Asked(path, token, body)] for token in room.tokens[:4]], least_seconds=3.0)


def _refused(suite: Suite, room: Room) -> RepeatedJob:
    """Return calls of somebody who is no member of the room, and of one who asks for a user who was never there."""
    listed = messages_service_pb2.ListMessagesRequest(room_id=room.id)
    asked = users_service_pb2.GetUserRequest(user_id="nobody")
    calls = [
        Asked(LIST, suite.token("picture-users--user-000000"), listed.SerializeToString()),
        Asked("/chatkit.users.v1.UsersService/GetUser", room.tokens[0], asked.SerializeToString()),
        Asked("/chatkit.users.v1.UsersService/GetUser", room.tokens[0], asked.SerializeToString()),
    ]
    return RepeatedJob(suite.edge, calls, 3.0, b"", suite.namespace())
