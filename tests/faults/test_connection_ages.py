"""Connections to services that are let go all the time, while callers and a subscriber go on through the edge."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import grpc
import psutil
import pytest
from chatkit.rooms.v1 import rooms_service_pb2 as rooms_pb2
from chatkit.rooms.v1 import rooms_service_pb2_grpc
from chatkit.users.v1 import users_service_pb2 as users_pb2
from chatkit.users.v1 import users_service_pb2_grpc

from services.edge import envoy
from services.stack.sign_in import bearer
from tests.faults.rolling import Call, Callers
from tests.support.eventually import until
from tests.support.stack import RunningStack, running_stack

_LET_GO = "cluster.{}.upstream_cx_close_notify"
_TIMES = 3


@pytest.fixture
async def stack(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RunningStack]:
    """Run the suite with the shortest age there is, for callers who are in a hurry."""
    monkeypatch.setenv("CHATKIT_CONNECTION_AGE_SECONDS", "1")
    monkeypatch.setenv("CHATKIT_LIMIT_REQUESTS_PER_USER_PER_SECOND", "10000")
    async with running_stack() as started:
        yield started


class _Load(Callers):
    """Callers of users, and of rooms, which asks users."""

    def __init__(self, stack: RunningStack, channel: grpc.aio.Channel) -> None:
        super().__init__(2)
        self.users = users_service_pb2_grpc.UsersServiceStub(channel)
        self.rooms = rooms_service_pb2_grpc.RoomsServiceStub(channel)
        self._alice, self._superuser = bearer(stack.home, "alice"), bearer(stack.home, None, su=True)

    def calls(self) -> Sequence[Call]:
        """List every kind of call."""
        return (self._read_user, self._make_room)

    async def _read_user(self, _number: int) -> None:
        await self.users.GetUser(users_pb2.GetUserRequest(user_id="bob"), metadata=self._alice)

    async def _make_room(self, number: int) -> None:
        request = rooms_pb2.CreateRoomRequest(
            name="made", request_id=f"{number}", creator_id="alice", user_ids=["bob"], visibility="VISIBILITY_PUBLIC"
        )
        await self.rooms.CreateRoom(request, metadata=self._superuser)

    async def rename(self, name: str) -> None:
        """Give the lobby another name."""
        request = rooms_pb2.UpdateRoomRequest(room_id="lobby", name=name)
        await self.rooms.UpdateRoom(request, metadata=self._superuser)


@pytest.mark.slow
async def test_no_call_fails_and_no_stream_ends_while_connections_are_let_go(stack: RunningStack) -> None:
    socket = Path(psutil.Process(stack.pid("edge")).environ()["CHATKIT_RUN_DIR"]) / "admin.sock"

    async def often(load: _Load) -> bool:
        figures = await envoy.figures(socket, f"^{_LET_GO.format('(users|rooms)')}$")
        return bool(load.failed) or all(figures.get(_LET_GO.format(name), 0) >= _TIMES for name in ("users", "rooms"))

    async with grpc.aio.insecure_channel(stack.address) as channel:
        load = _Load(stack, channel)
        stream = load.rooms.SubscribeUser(rooms_pb2.SubscribeUserRequest(), metadata=bearer(stack.home, "alice"))
        await stream.read()
        load.begin()
        await until(lambda: often(load))
        await load.end()
        assert (load.failed, load.repeated) == ([], [])
        # The stream is on a connection that was let go long ago, and goes on.
        await load.rename("The end")
        while "The end" not in str(await stream.read()):
            pass
        stream.cancel()
