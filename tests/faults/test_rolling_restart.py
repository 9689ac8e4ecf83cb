"""Every replica of users and of rooms is restarted, one after the other, while callers and subscribers go on.

No call fails but with UNAVAILABLE, and then its repetition does not; every stream ends with `closed` or a reset, or
goes on and still tells what happens.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import grpc
import pytest
from chatkit.rooms.v1 import memberships_service_pb2 as memberships_pb2
from chatkit.rooms.v1 import memberships_service_pb2_grpc, rooms_service_pb2_grpc
from chatkit.rooms.v1 import rooms_service_pb2 as rooms_pb2
from chatkit.users.v1 import presence_service_pb2, presence_service_pb2_grpc, users_service_pb2_grpc
from chatkit.users.v1 import users_service_pb2 as users_pb2

from services.stack.sign_in import bearer
from tests.faults.rolling import Call, Callers, restart
from tests.support.eventually import eventually
from tests.support.stack import RunningStack, running_stack

_REPLICAS = ("users-1", "users-2", "rooms-1", "rooms-2")
_CALLERS = 4
_STREAMS = 8


@pytest.fixture
async def stack(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RunningStack]:
    """Run the whole suite with two processes of users and of rooms, for callers who are in a hurry."""
    monkeypatch.setenv("CHATKIT_LIMIT_REQUESTS_PER_USER_PER_SECOND", "10000")
    async with running_stack("--replicas", "users=2,rooms=2") as started:
        yield started


class _Load(Callers):
    """Callers of users and rooms, through the edge."""

    def __init__(self, stack: RunningStack, channel: grpc.aio.Channel) -> None:
        super().__init__(_CALLERS)
        self.stack = stack
        self.users = users_service_pb2_grpc.UsersServiceStub(channel)
        self.rooms = rooms_service_pb2_grpc.RoomsServiceStub(channel)
        self.memberships = memberships_service_pb2_grpc.MembershipsServiceStub(channel)
        self._alice = bearer(stack.home, "alice")

    def calls(self) -> Sequence[Call]:
        """List every kind of call."""
        return (self._read_user, self._update_user, self._make_room, self._list_rooms, self._add_and_remove)

    async def _read_user(self, _number: int) -> None:
        await self.users.GetUser(users_pb2.GetUserRequest(user_id="bob"), metadata=self._alice)

    async def _update_user(self, number: int) -> None:
        request = users_pb2.UpdateUserRequest(user_id=f"caller {number % _CALLERS}", name=f"{number}")
        await self.users.UpdateUser(request, metadata=bearer(self.stack.home, None, su=True))

    async def _make_room(self, number: int) -> None:
        request = rooms_pb2.CreateRoomRequest(
            name="made", request_id=f"{number}", creator_id="alice", user_ids=["bob"], visibility="VISIBILITY_PUBLIC"
        )
        # A user makes no more than a hundred in a day.
        await self.rooms.CreateRoom(request, metadata=bearer(self.stack.home, None, su=True))

    async def _list_rooms(self, _number: int) -> None:
        await self.rooms.ListUserRooms(rooms_pb2.ListUserRoomsRequest(page_size=5), metadata=self._alice)

    async def _add_and_remove(self, number: int) -> None:
        user_ids = [f"caller {number % _CALLERS}"]
        added = memberships_pb2.AddMembersRequest(room_id="lobby", user_ids=user_ids)
        await self.memberships.AddMembers(added, metadata=self._alice)
        removed = memberships_pb2.RemoveMembersRequest(room_id="lobby", user_ids=user_ids)
        await self.memberships.RemoveMembers(removed, metadata=self._alice)


class _Stream:
    """A stream that is opened again whenever it ends, and how each one ended."""

    def __init__(self, open_call: Callable[[], Any]) -> None:
        self._open_call = open_call
        self.opened = 0
        self.wrong: list[str] = []
        self.events: list[Any] = []
        self._task = asyncio.create_task(self._go_on())

    def stop(self) -> None:
        """Read no more."""
        self._task.cancel()

    async def _go_on(self) -> None:
        while True:
            last = ""
            try:
                async for frame in self._open_call():
                    for event in frame.events:
                        last = str(event.WhichOneof("event"))
                        self.opened += last == "caught_up"
                        self.events.append(event)
                self.wrong.append(f"ended with OK after {last}")
            except grpc.aio.AioRpcError as error:
                # What has neither said `closed` nor been UNAVAILABLE has ended in another way than it may.
                if last != "closed" and error.code() is not grpc.StatusCode.UNAVAILABLE:
                    self.wrong.append(f"{error.code()} {error.details()} after {last}")
                await asyncio.sleep(0.05)


async def _prepare(load: _Load) -> None:
    superuser = bearer(load.stack.home, None, su=True)
    drafts = [users_pb2.CreateUserRequest(id=f"caller {n}", name=f"Caller {n}") for n in range(_CALLERS)]
    await load.users.BatchCreateUsers(users_pb2.BatchCreateUsersRequest(requests=drafts), metadata=superuser)


def _streams(load: _Load, channel: grpc.aio.Channel) -> list[_Stream]:
    presence = presence_service_pb2_grpc.PresenceServiceStub(channel)
    bob = bearer(load.stack.home, "bob")
    watching = presence_service_pb2.SubscribePresenceRequest(online=True, watch_user_ids=["alice", "bob"])
    following = rooms_pb2.SubscribeUserRequest()
    rooms = [_Stream(lambda: load.rooms.SubscribeUser(following, metadata=bob)) for _ in range(_STREAMS)]
    return [*rooms, *(_Stream(lambda: presence.SubscribePresence(watching, metadata=bob)) for _ in range(_STREAMS))]


async def test_every_replica_is_restarted_and_nobody_loses_a_call_or_hangs_on_a_stream(stack: RunningStack) -> None:
    async with grpc.aio.insecure_channel(stack.address) as channel:
        load = _Load(stack, channel)
        await _prepare(load)
        streams = _streams(load, channel)
        await eventually(lambda: all(stream.opened for stream in streams))
        load.begin()
        for name in _REPLICAS:
            await restart(stack, name)
            await load.some_more()
        await load.end()
        assert not load.failed
        assert load.answered > 0
        # Every stream is alive: it is told of what happens now.
        renamed = rooms_pb2.UpdateRoomRequest(room_id="lobby", name="The end")
        await load.rooms.UpdateRoom(renamed, metadata=bearer(stack.home, None, su=True))
        rooms, presence = streams[:_STREAMS], streams[_STREAMS:]
        for stream in rooms:
            await eventually(lambda: any(_names_the_end(event) for event in stream.events))  # noqa: B023 - awaited here
        assert all(_is_online(stream, "bob") for stream in presence)
        assert sum(stream.opened for stream in rooms) > _STREAMS
        assert [stream.wrong for stream in streams] == [[]] * len(streams)
        for stream in streams:
            stream.stop()


def _names_the_end(event: Any) -> bool:
    return bool("The end" in {event.room_updated.name, event.room.room.name})


def _is_online(stream: _Stream, user_id: str) -> bool:
    """Tell whether a user was online from the first to the last that was said of them."""
    told = [event.presence if event.HasField("presence") else event.presence_changed for event in stream.events]
    return {one.state for one in told if one.user_id == user_id} == {1}
