"""A connection that stays open between calls: SQLAlchemy's, and below it the driver's own."""

import asyncio
from contextlib import suppress
from typing import Any, cast

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

_ROLLBACK_SECONDS = 2.0


class Session:
    """A connection of a pool, which is given back when it is closed."""

    def __init__(self, connection: AsyncConnection, raw: "psycopg.AsyncConnection[Any]") -> None:
        self.connection = connection
        self.raw = raw

    @classmethod
    async def of(cls, connection: AsyncConnection) -> "Session":
        """Return the session of a connection that was just taken from the pool."""
        raw = (await connection.get_raw_connection()).driver_connection
        return cls(connection, cast("psycopg.AsyncConnection[Any]", raw))

    @property
    def is_lost(self) -> bool:
        """Whether nothing can be done with it any more."""
        return self.raw.closed or self.connection.invalidated

    @property
    def is_whole(self) -> bool:
        """Whether whoever is next finds it as if nobody had been there."""
        is_idle = self.raw.pgconn.transaction_status == TransactionStatus.IDLE
        return is_idle and not self.is_lost and not self.connection.in_transaction()

    async def begin(self, *, autocommit: bool) -> None:
        """Let each statement be a transaction, or all of them one."""
        if self.raw.autocommit is not autocommit:
            await self.raw.set_autocommit(autocommit)

    async def end(self) -> None:
        """Forget what SQLAlchemy takes for a transaction, where each statement was one."""
        if self.raw.autocommit and self.connection.in_transaction():
            await self.connection.commit()

    async def commit(self) -> None:
        """Commit what SQLAlchemy and the driver's own statements have done."""
        if self.connection.in_transaction():
            await self.connection.commit()
        else:
            await self.raw.commit()

    async def recover(self) -> bool:
        """Roll back what is not committed, and tell whether it is whole then."""
        # Of what goes wrong here nobody wants to know: the connection is not used again. One of which nothing comes
        # back any more must not be waited for by those who come next.
        with suppress(SQLAlchemyError, psycopg.Error, OSError):
            async with asyncio.timeout(_ROLLBACK_SECONDS):
                if not self.is_lost:
                    await self.connection.rollback()
                    await self.raw.rollback()
        return self.is_whole

    async def close(self) -> None:
        """Close it, and give its place in the pool back."""
        with suppress(SQLAlchemyError, psycopg.Error, OSError):
            if not self.connection.closed:
                if not self.connection.invalidated:
                    await self.connection.invalidate()
                await self.connection.close()
