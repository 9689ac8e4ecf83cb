"""PostgreSQL's clock as a test says: a function of the same name that stands before the real one for one role.

The statements stay as they are, and call it without a schema.
"""

from datetime import UTC, datetime, timedelta

import psycopg
from psycopg import sql

from services.stack.roles import role_names
from tests.support.databases import TestDatabase

_FUNCTION = """
    CREATE FUNCTION moved.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
    AS 'SELECT now FROM moved.clock'
"""


class DatabaseClock:
    """The time that a service's statements are told in one database."""

    def __init__(
        self, database: TestDatabase, service: str, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    ) -> None:
        self.now = start
        self._dsn = database.superuser_dsn
        role, _ = role_names(service)
        with psycopg.connect(self._dsn) as connection:
            connection.execute("CREATE SCHEMA moved")
            connection.execute("CREATE TABLE moved.clock (now timestamptz)")
            connection.execute("INSERT INTO moved.clock VALUES (%s)", (self.now,))
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
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            connection.execute("UPDATE moved.clock SET now = %s", (self.now,))
