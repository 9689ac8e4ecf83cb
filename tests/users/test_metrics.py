"""What a service tells Prometheus of its calls, its streams and its connections."""

import asyncio
from pathlib import Path

from chatkit.users.v1 import presence_service_pb2, users_service_pb2

from services.runtime.data.database import POOL_CONNECTIONS
from tests.support.databases import TestDatabase
from tests.support.eventually import eventually
from tests.support.figures import figures_of
from tests.support.peers import Peers
from tests.support.refusals import refused
from tests.support.suite import running
from tests.support.tokens import su, user

_FREE = "127.0.0.1:0"


async def test_calls_streams_and_their_endings_are_counted(
    database: TestDatabase, tmp_path: Path, peers: Peers
) -> None:
    async with running(database, tmp_path, "users", rooms_address=peers.address, metrics_listen=_FREE) as suite:
        await suite.make_users("alice")
        get = users_service_pb2.GetUserRequest(user_id="alice")
        for _ in range(3):
            await suite.users.GetUser(get, metadata=user("alice"))
        await refused(suite.users.GetUser(get), "TOKEN_MISSING")
        nobody = users_service_pb2.GetUserRequest(user_id="nobody")
        await refused(suite.users.GetUser(nobody, metadata=su()), "USER_NOT_FOUND")
        watch = presence_service_pb2.SubscribePresenceRequest(watch_user_ids=["alice"])
        stream = suite.presence.SubscribePresence(watch, metadata=user("alice"))
        await stream.read()

        figures = await figures_of(suite.servers["users"].metrics_address)
        method = {"grpc_type": "unary", "grpc_service": "chatkit.users.v1.UsersService", "grpc_method": "GetUser"}
        assert figures("grpc_server_handled_total", **method, grpc_code="OK") == 3
        assert figures("grpc_server_handled_total", **method, grpc_code="UNAUTHENTICATED") == 1
        assert figures("grpc_server_handled_total", **method, grpc_code="NOT_FOUND") == 1
        assert figures("chatkit_errors_total", **method, reason="USER_NOT_FOUND") == 1
        assert figures("grpc_server_handling_seconds_count", **method) == 5
        assert 0 < (figures("grpc_server_handling_seconds_sum", **method) or 0) < 60
        subscribing = {"grpc_type": "server_stream", "grpc_method": "SubscribePresence"}
        assert figures("chatkit_streams_open", **subscribing) == 1
        assert figures("chatkit_stream_opening_seconds_count", **subscribing) == 1
        assert figures("grpc_server_handled_total", **subscribing) is None
        assert (figures("process_resident_memory_bytes") or 0) > 1e6
        assert (figures("chatkit_database_connections_in_use") or 0) <= POOL_CONNECTIONS

        stream.cancel()
        await eventually(lambda: suite.servers["users"].streams.count == 0)
        figures = await figures_of(suite.servers["users"].metrics_address)
        assert figures("grpc_server_handled_total", **subscribing, grpc_code="CANCELLED") == 1
        assert figures("chatkit_streams_open", **subscribing) == 0


async def test_waiting_for_a_connection_shows(database: TestDatabase, tmp_path: Path, peers: Peers) -> None:
    async with running(database, tmp_path, "users", rooms_address=peers.address, metrics_listen=_FREE) as suite:
        await suite.make_users("alice")
        get = users_service_pb2.GetUserRequest(user_id="alice")
        await asyncio.gather(*(suite.users.GetUser(get, metadata=user("alice")) for _ in range(20)))
        figures = await figures_of(suite.servers["users"].metrics_address)
        assert figures("chatkit_database_waits_total")
        assert figures("chatkit_database_wait_seconds_total")
