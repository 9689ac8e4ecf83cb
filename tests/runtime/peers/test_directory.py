"""The client that asks users who exists: every id that does not is named, and the caller's deadline holds."""

import json
from collections.abc import AsyncIterator
from uuid import UUID

import grpc
import pytest
from chatkit.internal.directory.v1 import directory_service_pb2 as pb2
from chatkit.internal.directory.v1 import directory_service_pb2_grpc

from services.runtime.clock import SystemClock
from services.runtime.contract.errors import NotFound
from services.runtime.deadline import NEVER, Deadline
from services.runtime.identity.tokens import ServiceTokens
from services.runtime.peers.directory import DirectoryClient
from services.runtime.peers.peer import Peer
from tests.support.peers import uid_of
from tests.support.tokens import SERVICE_KEY

_EXIST = ("zoë", "bob", "alice")


class _Users(directory_service_pb2_grpc.DirectoryServiceServicer):
    """Users, which answers in an order of its own and takes note of how long it may take."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.remaining: list[float] = []

    async def ResolveUsers(
        self, request: pb2.ResolveUsersRequest, context: "grpc.aio.ServicerContext[pb2.ResolveUsersRequest, object]"
    ) -> pb2.ResolveUsersResponse:
        self.asked.append(list(request.user_ids))
        self.remaining.append(context.time_remaining())
        found = [user_id for user_id in _EXIST if user_id in request.user_ids]
        return pb2.ResolveUsersResponse(
            users=[pb2.ResolvedUser(id=user_id, uid=uid_of(user_id).bytes) for user_id in found]
        )


@pytest.fixture
def users() -> _Users:
    return _Users()


@pytest.fixture
async def directory(users: _Users) -> AsyncIterator[DirectoryClient]:
    server = grpc.aio.server()
    directory_service_pb2_grpc.add_DirectoryServiceServicer_to_server(users, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    peer = Peer("users", f"127.0.0.1:{port}", ServiceTokens("rooms", SERVICE_KEY, SystemClock()))
    yield DirectoryClient(peer)
    await peer.close()
    await server.stop(None)


async def test_identities_come_in_the_order_of_ids_and_each_is_asked_for_once(
    directory: DirectoryClient, users: _Users
) -> None:
    wanted = ["zoë", "alice", "bob", "alice"]
    expected: list[tuple[str, UUID]] = [(user_id, uid_of(user_id)) for user_id in ("alice", "bob", "zoë")]
    assert list((await directory.resolve(wanted, NEVER)).items()) == expected
    assert list((await directory.find(["nobody", *wanted], NEVER)).items()) == expected
    assert await directory.uid_of("bob", NEVER) == uid_of("bob")
    assert users.asked == [["alice", "bob", "zoë"], ["alice", "bob", "nobody", "zoë"], ["bob"]]


async def test_every_id_that_does_not_exist_is_named(directory: DirectoryClient) -> None:
    with pytest.raises(NotFound) as several:
        await directory.resolve(["nöbody", "alice", "ghost"], NEVER)
    with pytest.raises(NotFound) as one:
        await directory.uid_of("nöbody", NEVER)
    assert (several.value.reason, several.value.metadata) == ("USER_NOT_FOUND", {"user_ids": '["ghost", "nöbody"]'})
    assert json.loads(one.value.metadata["user_ids"]) == ["nöbody"]


async def test_users_has_no_longer_than_the_caller(directory: DirectoryClient, users: _Users) -> None:
    deadline = Deadline.after(2.0)
    await directory.uid_of("alice", deadline)
    await directory.resolve(["alice"], deadline)
    await directory.find(["alice"], deadline)
    assert all(0 < seconds < 2 for seconds in users.remaining)
