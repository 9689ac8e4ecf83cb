"""Each service starts with everything else absent: not ready, never ending, and ready once the others are there."""

from pathlib import Path
from typing import Any

import grpc
import pytest
from chatkit.users.v1 import users_service_pb2
from chatkit.users.v1.users_service_pb2_grpc import UsersServiceStub
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.runtime.clock import SystemClock
from services.stack.machine.ports import Port
from services.stack.roles import SERVICES
from tests.support.databases import TestDatabase
from tests.support.eventually import HANG_SECONDS
from tests.support.refusals import refused
from tests.support.suite import BUILDS, Suite, ready, settings
from tests.support.tokens import su

_NOBODY = "127.0.0.1:1"
_NO_DATABASE = "postgresql://nobody:nothing@127.0.0.1:1/none"


async def _status(address: str) -> int:
    async with grpc.aio.insecure_channel(address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        return int((await stub.Check(health_pb2.HealthCheckRequest(), timeout=HANG_SECONDS)).status)


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_alone_is_up_and_not_ready(database: TestDatabase, tmp_path: Path, service: str) -> None:
    absent = {f"{name}_address": _NOBODY for name in SERVICES if name != service}
    told = settings(database, tmp_path, service, database_url=_NO_DATABASE, **absent)
    async with BUILDS[service](told, SystemClock()) as server:
        assert await _status(server.address) == health_pb2.HealthCheckResponse.NOT_SERVING
        async with grpc.aio.insecure_channel(server.address) as channel:
            unknown: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/nobody/Knows")
            await refused(unknown(b""), "METHOD_NOT_FOUND")
        assert not server.lifetime.failed.is_set()


async def test_a_call_without_the_database_is_unavailable_with_a_delay(database: TestDatabase, tmp_path: Path) -> None:
    told = settings(database, tmp_path, "users", database_url=_NO_DATABASE)
    async with (
        BUILDS["users"](told, SystemClock()) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        call = UsersServiceStub(channel).GetUser(users_service_pb2.GetUserRequest(user_id="a"), metadata=su())
        assert (await refused(call, "DATABASE_UNAVAILABLE")).retry_after is not None


async def test_a_service_becomes_ready_when_its_peers_appear(database: TestDatabase, tmp_path: Path) -> None:
    held = Port("127.0.0.1")
    suite = Suite(database, tmp_path, SystemClock(), {})
    listen = Port("127.0.0.1")
    told = settings(database, tmp_path, "rooms", users_address=held.address, listen=listen.address)
    try:
        async with BUILDS["rooms"](told, SystemClock()) as rooms:
            assert await _status(rooms.address) == health_pb2.HealthCheckResponse.NOT_SERVING
            await suite.start("users", listen=held.address, rooms_address=rooms.address)
            await ready(rooms.address)
            await suite.stop("users")
            # Whoever was ready once stays so: else a restart of one service would take the others with it.
            assert await _status(rooms.address) == health_pb2.HealthCheckResponse.SERVING
    finally:
        await suite.close()
        held.release()
        listen.release()
