"""The connections of those who append: each is one's own, and the epoch is looked at before anything is written."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import psycopg

from services.messages.log.append import Connection
from services.runtime.data.epoch import Epoch

_CONNECT_SECONDS = 3
# Its statements look keys up. A plan that was made while the tables were empty would read them whole instead, each time
# and more of them, until they are analysed.
# Said after connecting: PgBouncer refuses a connection that says it with its start-up packet.
_LOOK_UP = "SET enable_seqscan = off"
# A pooler may take a connection and let its first statement wait for minutes.
_FIRST_STATEMENTS_SECONDS = 5.0

# Opens a connection; its end closes it.
Connect = Callable[[], AbstractAsyncContextManager[Connection]]


def connecting(dsn: str, epoch: Epoch) -> Connect:
    """Return what opens connections to a database, in autocommit."""

    @asynccontextmanager
    async def connect() -> AsyncIterator[Connection]:
        connection: Connection = await psycopg.AsyncConnection.connect(
            dsn, connect_timeout=_CONNECT_SECONDS, application_name="chatkit committer"
        )
        try:
            async with asyncio.timeout(_FIRST_STATEMENTS_SECONDS):
                await connection.execute(_LOOK_UP)
                await epoch.look(connection)
                await connection.set_autocommit(True)
            yield connection
        finally:
            await connection.close()

    return connect
