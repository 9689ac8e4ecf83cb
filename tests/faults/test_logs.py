"""Logs that can't be written, of a real process: it serves on, and what goes away comes back."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import psycopg
import pytest
from chatkit.messages.v1 import messages_service_pb2_grpc
from psycopg import sql

from services.stack.machine.ports import Port
from tests.messages.chat import text
from tests.support.databases import TestDatabase
from tests.support.eventually import HANG_SECONDS, until
from tests.support.own_process import own_process
from tests.support.peers import Peers, serve
from tests.support.suite import settings
from tests.support.tokens import user

_SERVE = (sys.executable, "-m", "services.messages", "serve")
_CLOSED = ("sh", "-c", 'exec "$@" 2>&-', "sh", *_SERVE)
# Long enough for a send on a machine that does other work as well; those that get no answer are repeated.
_SEND_SECONDS = 5.0
_AWAY = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}


@contextmanager
def _away(database: TestDatabase) -> Iterator[None]:
    """Keep everybody out of the database while the context is open."""
    name = sql.Identifier(database.name)
    with psycopg.connect(database.postgres.superuser_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(name))
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", (database.name,)
        )
        yield
        connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(name))


@pytest.mark.parametrize(("command", "log"), [(_SERVE, "/dev/full"), (_CLOSED, "/dev/null")], ids=["full", "closed"])
async def test_messages_are_sent_although_no_line_can_be_logged_and_again_after_the_database_was_away(
    database: TestDatabase, tmp_path: Path, command: tuple[str, ...], log: str
) -> None:
    peers = Peers(members={"lobby": {"alice", "bob"}}, users={"alice", "bob"})
    port = Port("127.0.0.1")
    async with serve(peers):
        told = settings(
            database,
            tmp_path,
            "messages",
            rooms_address=peers.address,
            users_address=peers.address,
            listen=port.address,
        )
        async with (
            own_process(command, told, Path(log)) as process,
            grpc.aio.insecure_channel(port.address) as channel,
        ):
            stub = messages_service_pb2_grpc.MessagesServiceStub(channel)
            count = 0

            async def failure() -> grpc.StatusCode | None:
                nonlocal count
                count += 1
                try:
                    await stub.SendMessage(text("x", f"{count}"), metadata=user("alice"), timeout=_SEND_SECONDS)
                except grpc.aio.AioRpcError as error:
                    return error.code()
                return None

            async def is_sent() -> bool:
                return await failure() is None

            assert await failure() is None
            with _away(database):
                # Each of these is something to log about, at the boundary and in the committer.
                assert {await failure(), await failure()} <= _AWAY
            await until(is_sent, HANG_SECONDS)
            assert process.returncode is None
    port.release()
