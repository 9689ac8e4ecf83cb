"""A name with several addresses: a replica that comes later is found, and what is open goes on meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from services.runtime.calls.handlers import Handlers
from services.runtime.calls.observing import Observer
from services.runtime.clock import SystemClock
from services.runtime.contract.policies import Limits
from services.runtime.identity.tokens import ServiceTokens
from services.runtime.metrics.registry import Metrics
from services.runtime.peers.peer import Peer
from services.runtime.process.listener import GrpcListener
from services.runtime.streaming.open_streams import Streams
from tests.support.dns import Names, serving_names
from tests.support.eventually import HANG_SECONDS
from tests.support.tokens import SERVICE_KEY

_NAME = "users.chatkit.test"
_AGE_SECONDS = 1.0


class _Replica(health.aio.HealthServicer):  # type: ignore[misc]  # it has no types
    """A process that serves nothing but health, as every service does; it counts who asks once."""

    calls = 0

    async def Check(self, request: health_pb2.HealthCheckRequest, context: Any) -> Any:
        self.calls += 1
        return await super().Check(request, context)


@asynccontextmanager
async def _running(listen: str) -> AsyncIterator[tuple[_Replica, str]]:
    limits, replica = Limits(), _Replica()
    nobody: Any = None
    streams = Streams(limits, SystemClock())
    handlers = Handlers(verifier=nobody, limits=limits, streams=streams, observer=Observer(Metrics()), access=nobody)
    listener = GrpcListener(listen, limits, None, _AGE_SECONDS)
    address = await listener.start(handlers, [], replica)
    try:
        yield replica, address
    finally:
        await listener.stop(0.0)


def _peer(names: Names, port: str) -> Peer:
    return Peer("users", f"dns://{names.address}/{_NAME}:{port}", ServiceTokens("rooms", SERVICE_KEY, SystemClock()))


async def test_a_replica_that_was_added_to_a_name_is_found_and_open_streams_go_on() -> None:
    asked = health_pb2.HealthCheckRequest()
    async with AsyncExitStack() as stack, asyncio.timeout(HANG_SECONDS):
        names = await stack.enter_async_context(serving_names())
        first, address = await stack.enter_async_context(_running("127.0.0.1:0"))
        port = address.rpartition(":")[2]
        names.addresses[_NAME] = ["127.0.0.1"]
        peer = _peer(names, port)
        stack.push_async_callback(peer.close)
        stub = health_pb2_grpc.HealthStub(peer.channel)
        stream = peer.stream(stub.Watch, asked)
        assert (await anext(stream)).status == health_pb2.HealthCheckResponse.SERVING

        second, _ = await stack.enter_async_context(_running(f"127.0.0.2:{port}"))
        names.addresses[_NAME] = ["127.0.0.1", "127.0.0.2"]
        # No call fails while connections come and go.
        while not second.calls:
            await peer.call(stub.Check, asked)
        assert first.calls
        await first.set(health.OVERALL_HEALTH, health_pb2.HealthCheckResponse.NOT_SERVING)
        assert (await anext(stream)).status == health_pb2.HealthCheckResponse.NOT_SERVING
        await stream.aclose()
