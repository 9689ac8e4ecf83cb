"""PostgreSQL's clock as a test says: a function of the same name that stands before the real one for one role.

The statements stay as they are, and call it without a schema.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from services.stack.roles import role_names
from tests.support.clock import LeapingClock
from tests.support.databases import TestDatabase

_FUNCTION = """
    CREATE FUNCTION moved.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
    AS 'SELECT coalesce(stopped, pg_catalog.clock_timestamp()) + ahead FROM moved.clock'
"""


class DatabaseClock:
    """The time that a service's statements are told in one database: it stands still, or passes if `start` is None.

    It is moved over a connection of its own each time, or over one in autocommit that it is lent.
    """

    def __init__(
        self,
        database: TestDatabase,
        service: str,
        start: datetime | None = datetime(2026, 1, 1, tzinfo=UTC),
        lent: "psycopg.Connection[Any] | None" = None,
    ) -> None:
        # What it says, where it stands still.
        self.now = start or datetime.now(UTC)
        self._dsn = database.superuser_dsn
        self._lent = lent
        role, _ = role_names(service)
        with psycopg.connect(self._dsn) as connection:
            connection.execute("CREATE SCHEMA moved")
            connection.execute("CREATE TABLE moved.clock (stopped timestamptz, ahead interval)")
            connection.execute("INSERT INTO moved.clock VALUES (%s, '0')", (start,))
            connection.execute(_FUNCTION.encode())
            for statement in (
                "GRANT USAGE ON SCHEMA moved TO {role}",
                "GRANT SELECT ON moved.clock TO {role}",
                "ALTER ROLE {role} IN DATABASE {database} SET search_path = moved, pg_catalog, {service}",
            ):
                names = {
                    "role": sql.Identifier(role),
                    "database": sql.Identifier(database.name),
                    "service": sql.Identifier(service),
                }
                connection.execute(sql.SQL(statement).format(**names))

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)
        self._update("UPDATE moved.clock SET ahead = ahead + %s", timedelta(seconds=seconds))

    def stop(self) -> None:
        """Let no time pass by itself any more."""
        self._update("UPDATE moved.clock SET stopped = coalesce(stopped, pg_catalog.clock_timestamp())")

    def _update(self, statement: LiteralString, *told: Any) -> None:
        if self._lent is not None:
            self._lent.execute(statement, told)
            return
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            connection.execute(statement, told)


class SharedClock(LeapingClock):
    """The clock of a service's process, with which the database's clock leaps."""

    def __init__(self, database: TestDatabase, service: str) -> None:
        super().__init__()
        self.database = DatabaseClock(database, service, start=None)

    def leap(self, seconds: float) -> None:
        """Let time pass at once, in the database first."""
        if seconds:
            self.database.advance(seconds)
        super().leap(seconds)

    def stop(self) -> None:
        """Let time pass only by leaps from now on."""
        self.database.stop()
        super().stop()
