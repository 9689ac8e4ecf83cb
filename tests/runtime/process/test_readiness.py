"""What health says to those who ask whether to turn to a process, and to those who ask whether it answers at all."""

from collections.abc import Awaitable, Callable

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.runtime.clock import SystemClock
from services.runtime.process.readiness import LIVENESS, Readiness
from services.runtime.release import Release
from tests.support.eventually import HANG_SECONDS

_SERVING, _NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


async def _waiting(_readiness: Readiness) -> None:
    """Change nothing: it has begun, and has not reached what it needs."""


async def _ready(readiness: Readiness) -> None:
    await readiness.await_dependencies({})


async def _draining(readiness: Readiness) -> None:
    await readiness.await_dependencies({})
    await readiness.drain()


@pytest.mark.parametrize(("state", "says"), [(_waiting, _NOT_SERVING), (_ready, _SERVING), (_draining, _NOT_SERVING)])
async def test_a_process_is_alive_while_it_waits_and_while_it_drains(
    state: Callable[[Readiness], Awaitable[None]], says: int
) -> None:
    readiness = Readiness(SystemClock(), 0.1, Release())
    server = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(readiness.servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    await readiness.start()
    await state(readiness)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        answers = [
            (await stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=HANG_SECONDS)).status
            for name in ("", LIVENESS)
        ]
    await server.stop(None)
    assert answers == [says, _SERVING]
