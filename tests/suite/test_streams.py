"""How many streams a user may have open, through the edge."""

import asyncio
from typing import Any

from chatkit.messages.v1 import messages_service_pb2 as pb2
from chatkit.messages.v1.messages_service_pb2_grpc import MessagesServiceStub

from tests.support.edge import Edge
from tests.support.eventually import HANG_SECONDS, eventually
from tests.support.refusals import refused
from tests.support.tokens import user


async def _open(edge: Edge, user_id: str) -> Any:
    stub: Any = MessagesServiceStub(edge.channel)
    call = stub.SubscribeRoom(pb2.SubscribeRoomRequest(room_id="lobby", last=0), metadata=user(user_id))
    assert (await call.read()).events[0].HasField("opened")
    return call


async def test_a_hundred_streams_go_on_when_the_next_one_is_refused_and_one_that_ends_makes_room(edge: Edge) -> None:
    streams = edge.suite.servers["messages"].streams
    async with asyncio.timeout(HANG_SECONDS):
        opened = [await _open(edge, "bob") for _ in range(100)]
        error = await refused(_open(edge, "bob"), "QUOTA_EXCEEDED")
        assert error.metadata == {"limit": "STREAMS_PER_USER", "maximum": "100", "actual": "101"}
        assert not opened[-1].done()
        opened.append(await _open(edge, "alice"))
        opened[0].cancel()
        await eventually(lambda: streams.count == 100)
        opened.append(await _open(edge, "bob"))
        for call in opened:
            call.cancel()
        await eventually(lambda: streams.count == 0)
