"""Calls to a service with several replicas: all of them are used, and one that is gone is not the end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
from chatkit.internal.directory.v1 import directory_service_pb2 as pb2
from chatkit.internal.directory.v1 import directory_service_pb2_grpc
from chatkit.internal.directory.v1.directory_service_pb2_grpc import DirectoryServiceStub
from grpc_health.v1 import health, health_pb2_grpc

from services.runtime.clock import SystemClock
from services.runtime.contract.errors import Unavailable
from services.runtime.deadline import Deadline
from services.runtime.identity.tls import Certificates
from services.runtime.identity.tokens import ServiceTokens
from services.runtime.peers.peer import Peer
from services.runtime.process.server import open_server
from services.runtime.settings import TlsFiles
from services.stack.machine.ports import Port
from tests.support.certificates import Authority
from tests.support.clock import ManualClock, deadlines_by
from tests.support.databases import TestDatabase
from tests.support.eventually import HANG_SECONDS, eventually
from tests.support.suite import settings
from tests.support.tokens import SERVICE_KEY


class _Replica(directory_service_pb2_grpc.DirectoryServiceServicer):
    """A replica of users, which counts its calls."""

    def __init__(self, certificates: Certificates | None = None) -> None:
        self.port = Port("127.0.0.1")
        self.calls = 0
        # The connections that calls came by, each named by the caller's port.
        self.callers: set[str] = set()
        # While it is not set, calls are not answered.
        self.answers = asyncio.Event()
        self.answers.set()
        # None is a service that does not tell.
        self.health: health.aio.HealthServicer | None = None
        self._certificates = certificates
        self._server: grpc.aio.Server | None = None

    async def ResolveUsers(self, _request: pb2.ResolveUsersRequest, context: Any) -> pb2.ResolveUsersResponse:
        self.calls += 1
        self.callers.add(context.peer())
        await self.answers.wait()
        return pb2.ResolveUsersResponse()

    async def start(self) -> None:
        self._server = grpc.aio.server()
        directory_service_pb2_grpc.add_DirectoryServiceServicer_to_server(self, self._server)
        if self.health is not None:
            health_pb2_grpc.add_HealthServicer_to_server(self.health, self._server)
        if self._certificates is not None:
            self._server.add_secure_port(self.port.address, self._certificates.server_credentials())
        else:
            self._server.add_insecure_port(self.port.address)
        await self._server.start()

    async def stop(self) -> None:
        assert self._server is not None
        await self._server.stop(None)


class _Users:
    """The caller."""

    def __init__(self, addresses: str, certificates: Certificates | None = None) -> None:
        self.peer = Peer("users", addresses, ServiceTokens("rooms", SERVICE_KEY, SystemClock()), certificates)
        self._stub = DirectoryServiceStub(self.peer.channel)

    async def call(self, count: int) -> None:
        for _ in range(count):
            await self.peer.call(self._stub.ResolveUsers, pb2.ResolveUsersRequest())

    async def until_all_answer(self, *replicas: _Replica) -> None:
        """Call until each of them has answered once more, so that each has a connection."""
        before = [replica.calls for replica in replicas]
        while any(replica.calls == count for replica, count in zip(replicas, before, strict=True)):
            await self.call(1)


@asynccontextmanager
async def _running(*replicas: _Replica) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for replica in replicas:
            await replica.start()
            stack.push_async_callback(replica.stop)
            stack.callback(replica.port.release)
        yield


async def test_all_replicas_are_called_and_one_that_has_died_is_passed_over_until_it_is_back() -> None:
    first, second = _Replica(), _Replica()
    users = _Users(f"{first.port.address}, {second.port.address}")
    async with _running(first, second):
        await users.peer.check()
        await users.until_all_answer(first, second)
        before = first.calls
        await users.call(20)
        assert first.calls == before + 10
        await first.stop()
        await users.call(20)
        await second.stop()
        with pytest.raises(Unavailable):
            await users.call(1)
        await first.start()
        await users.peer.check()
        await users.call(20)
        await second.start()
        await users.until_all_answer(first, second)
    await users.peer.close()


async def test_a_replica_that_says_it_is_about_to_end_is_passed_over() -> None:
    ending, other = _Replica(), _Replica()
    ending.health = health.aio.HealthServicer()
    users = _Users(f"{ending.port.address},{other.port.address}")
    async with _running(ending, other), asyncio.timeout(HANG_SECONDS):
        await users.until_all_answer(ending, other)
        await ending.health.enter_graceful_shutdown()
        called = -1
        while called != ending.calls:
            called = ending.calls
            await users.call(10)
    await users.peer.close()


async def test_a_call_that_is_lost_with_its_replica_is_made_once_more_at_another() -> None:
    dying, other = _Replica(), _Replica()
    users = _Users(f"{dying.port.address},{other.port.address}")
    async with _running(dying, other), asyncio.timeout(HANG_SECONDS), asyncio.TaskGroup() as group:
        await users.until_all_answer(dying, other)
        dying.answers.clear()
        before, others = dying.calls, other.calls
        calls = [group.create_task(users.call(1)) for _ in range(2)]
        await eventually(lambda: dying.calls > before)
        await dying.stop()
        await asyncio.gather(*calls)
        assert other.calls == others + 2
    await users.peer.close()


async def test_channels_to_one_address_share_no_connection() -> None:
    """Two that share one and connect at the same moment crash gRPC: shared_health_checks.py."""
    replica = _Replica()
    several = [_Users(replica.port.address) for _ in range(3)]
    async with _running(replica):
        await asyncio.gather(*(users.call(2) for users in several))
        assert len(replica.callers) == 3
        for users in several:
            await users.peer.close()


async def test_a_call_has_what_is_left_to_its_caller_less_the_time_to_answer_and_five_seconds_at_most() -> None:
    clock, users = ManualClock(), _Users("127.0.0.1:1")
    timeouts = []

    async def three_seconds(_request: object, **given: Any) -> object:
        timeouts.append(given["timeout"])
        clock.jump(3.0)
        return given["metadata"]

    method = cast("Any", three_seconds)
    with deadlines_by(clock):
        deadline = Deadline.after(7.0)
        for _ in range(4):
            await users.peer.call(method, None, deadline)
        await users.peer.call(method, None)
    assert timeouts == pytest.approx([5.0, 3.9, 0.9, 0.001, 5.0])
    await users.peer.close()


async def test_one_replica_that_listens_is_enough_to_begin() -> None:
    absent, present = _Replica(), _Replica()
    users = _Users(f"{absent.port.address},{present.port.address}")
    async with _running(present):
        await users.peer.check()
        await users.call(10)
    assert present.calls == 10
    absent.port.release()
    await users.peer.close()


async def test_each_replicas_certificate_is_for_its_own_address(tmp_path: Path) -> None:
    told = Authority("ours").write(tmp_path)
    files = TlsFiles(told["tls_certificate_file"], told["tls_key_file"], told["tls_ca_file"])
    first, second = _Replica(Certificates(files)), _Replica(Certificates(files))
    users = _Users(f"{first.port.address},{second.port.address}", Certificates(files))
    async with _running(first, second):
        await users.peer.check()
        await users.until_all_answer(first, second)
        await users.peer.renew()
        await users.call(4)
    await users.peer.close()


async def test_a_service_has_one_channel_to_another_whoever_asks_for_it(database: TestDatabase, tmp_path: Path) -> None:
    absent, other = Port("127.0.0.1"), Port("127.0.0.1")
    told = settings(database, tmp_path, "messages", rooms_address=absent.address)
    async with open_server("messages", told, SystemClock()) as server:
        access = server.rooms_access()
        rooms = server.peer("rooms", absent.address)
        assert access._client._peer is rooms is server.peer("rooms", absent.address)
        assert server.peer("users", absent.address) is not rooms
        assert server.peer("rooms", other.address) is not rooms
    absent.release()
    other.release()
