"""A statement that is made once, as the driver takes it: for reads that are made with every call.

SQLAlchemy says what it is; psycopg prepares it on each connection, and brings rows as the server has them.
"""

from collections.abc import Mapping
from typing import Any, cast

import psycopg
from psycopg.rows import namedtuple_row
from sqlalchemy import ClauseElement, Connection, text
from sqlalchemy.dialects.postgresql.psycopg import dialect
from sqlalchemy.ext.asyncio import AsyncConnection

_DIALECT = dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's dialects have no types


class Query:
    """A statement whose parameters have names: `:name` where it is SQL as it is."""

    def __init__(self, statement: ClauseElement | str) -> None:
        written = text(statement) if isinstance(statement, str) else statement
        compiled = written.compile(dialect=_DIALECT)
        self.sql = str(compiled)
        # The statement's own; those without a value are told with each call.
        self._values = {name: value for name, value in compiled.params.items() if value is not None}

    async def rows(self, connection: psycopg.AsyncConnection[Any], values: Mapping[str, Any]) -> list[Any]:
        """Return all rows, whose columns are attributes."""
        cursor = connection.cursor(binary=True, row_factory=namedtuple_row)
        await cursor.execute(self.sql, {**self._values, **values}, prepare=True)
        return await cursor.fetchall() if cursor.description is not None else []

    async def within(self, connection: AsyncConnection, values: Mapping[str, Any]) -> list[Any]:
        """Return all rows, in a transaction of SQLAlchemy's."""
        lent = cast("Connection", connection.sync_connection)
        return await self.rows(cast("psycopg.AsyncConnection[Any]", lent.connection.driver_connection), values)

    async def one_within(self, connection: AsyncConnection, values: Mapping[str, Any]) -> Any:
        """Return the only row, or None, as `within` would."""
        rows = await self.within(connection, values)
        return rows[0] if rows else None
