"""Users whom many want at once are asked for together."""

import asyncio
from typing import Any, cast

import grpc
from chatkit.internal.directory.v1 import directory_service_pb2 as pb2
from chatkit.users.v1 import user_pb2

from services.rooms.peers import UsersClient
from services.runtime.contract.errors import NotFound
from services.runtime.contract.policies import Limits
from tests.support.eventually import HANG_SECONDS


class _Users:
    """Users, all of whom exist but nobody."""

    name = "users"

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self.asked: list[int] = []

    async def call(self, _method: object, request: pb2.ResolveUsersRequest) -> pb2.ResolveUsersResponse:
        self.asked.append(len(request.user_ids))
        found = [user_id for user_id in request.user_ids if user_id != "nobody"]
        return pb2.ResolveUsersResponse(
            users=[pb2.ResolvedUser(id=user_id, user=user_pb2.User(id=user_id)) for user_id in found]
        )


async def test_a_crowd_is_asked_for_together_and_each_is_answered_for_itself() -> None:
    async with grpc.aio.insecure_channel("127.0.0.1:1") as channel:
        users = _Users(channel)
        client = UsersClient(cast("Any", users), Limits())
        wanted = [*(f"user {number}" for number in range(100)), "nobody"]
        asking = [asyncio.ensure_future(client.get(user_id)) for user_id in wanted]
        running = asyncio.create_task(client.run())
        async with asyncio.timeout(HANG_SECONDS):
            *answers, refusal = await asyncio.gather(*asking, return_exceptions=True)
        running.cancel()
    assert [answer.id for answer in answers if isinstance(answer, user_pb2.User)] == wanted[:-1]
    assert isinstance(refusal, NotFound)
    assert users.asked == [50, 50, 1]
