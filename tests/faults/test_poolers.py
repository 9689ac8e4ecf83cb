"""A real PgBouncer between messages and PostgreSQL: session mode works, and transaction mode is refused."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from chatkit.messages.v1 import messages_service_pb2_grpc

from services.stack.machine.ports import Port
from tests.messages.chat import text
from tests.support import pgbouncer
from tests.support.databases import TestDatabase
from tests.support.eventually import HANG_SECONDS
from tests.support.own_process import own_process
from tests.support.peers import Peers, serve
from tests.support.suite import settings
from tests.support.tokens import user

pytestmark = pytest.mark.skipif(
    pgbouncer.BINARY is None, reason="PgBouncer is not installed (apt-get install pgbouncer)"
)
_SERVE = (sys.executable, "-m", "services.messages", "serve")


@asynccontextmanager
async def _messages(
    database: TestDatabase, folder: Path, pool_mode: str
) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    """Run messages behind a PgBouncer, and yield its address once it is ready or has ended."""
    peers = Peers(members={"lobby": {"alice", "bob"}}, users={"alice", "bob"})
    port = Port("127.0.0.1")
    async with serve(peers), pgbouncer.pgbouncer(database, "messages", pool_mode) as url:
        told = {"rooms_address": peers.address, "users_address": peers.address, "database_url": url}
        values = settings(database, folder, "messages", listen=port.address, **told)
        async with own_process(_SERVE, values, folder / "log") as process:
            yield port.address, process
    port.release()


async def test_in_session_mode_messages_is_ready_and_sends(database: TestDatabase, tmp_path: Path) -> None:
    async with _messages(database, tmp_path, "session") as (address, process):
        assert process.returncode is None, (tmp_path / "log").read_text()
        async with grpc.aio.insecure_channel(address) as channel:
            stub = messages_service_pb2_grpc.MessagesServiceStub(channel)
            for number in range(20):
                sent = await stub.SendMessage(text("x", f"{number}"), metadata=user("alice"), timeout=HANG_SECONDS)
                assert sent.message.seq == number + 1


async def test_transaction_mode_is_refused_in_one_sentence_and_never_served(
    database: TestDatabase, tmp_path: Path
) -> None:
    async with _messages(database, tmp_path, "transaction") as (_, process):
        async with asyncio.timeout(HANG_SECONDS):
            assert await process.wait() == 1
    log = (tmp_path / "log").read_text()
    assert "can_not_work" in log
    assert "PgBouncer must have pool_mode = session" in log
