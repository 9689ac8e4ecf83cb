"""What a fresh home starts with: alice, bob, and the room lobby that both belong to."""

from collections.abc import Awaitable
from typing import Any

import grpc
from chatkit.rooms.v1 import rooms_service_pb2
from chatkit.rooms.v1.rooms_service_pb2_grpc import RoomsServiceStub
from chatkit.users.v1 import users_service_pb2
from chatkit.users.v1.users_service_pb2_grpc import UsersServiceStub

from services.stack.home import Home
from services.stack.sign_in import bearer

ALICE, BOB, ROOM = "alice", "bob", "lobby"
_SECONDS = 10.0


async def seed(home: Home, address: str) -> None:
    """Create them through the edge; what is there already is left as it is."""
    async with grpc.aio.insecure_channel(address) as channel:
        users, rooms = UsersServiceStub(channel), RoomsServiceStub(channel)
        for user_id in (ALICE, BOB):
            user = users_service_pb2.CreateUserRequest(id=user_id, name=user_id.capitalize())
            await _once(users.CreateUser(user, metadata=bearer(home, None, su=True), timeout=_SECONDS))
        room = rooms_service_pb2.CreateRoomRequest(
            id=ROOM, name="Lobby", user_ids=[BOB], visibility="VISIBILITY_PUBLIC"
        )
        await _once(rooms.CreateRoom(room, metadata=bearer(home, ALICE), timeout=_SECONDS))


async def _once(creation: Awaitable[Any]) -> None:
    try:
        await creation
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.ALREADY_EXISTS:
            raise
