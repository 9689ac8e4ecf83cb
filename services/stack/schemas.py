"""The database, its schemas and its roles: for each service one that owns the schema, and one that uses it.

A service's role reads and writes rows of its own schema and can touch nothing else.
"""

from collections.abc import Mapping

import psycopg
from psycopg import sql

from services.stack.roles import SERVICES, all_roles, role_names

# A session that holds locks and does nothing is ended; so is one that waits for a lock or works for too long.
_TIMEOUTS = {"idle_in_transaction_session_timeout": "2s", "lock_timeout": "1s", "statement_timeout": "10s"}


def bootstrap(superuser_dsn: str, database: str, passwords: Mapping[str, str]) -> None:
    """Make the database, the roles and the schemas, or bring them to what they should be; `passwords` is by role."""
    with psycopg.connect(superuser_dsn, autocommit=True) as connection:
        for role in all_roles():
            _make_role(connection, role, passwords[role])
        _make_database(connection, database)
        admit_services(connection, database)
    with psycopg.connect(superuser_dsn, dbname=database) as connection:
        for service in SERVICES:
            _make_schema(connection, service)


def admit_services(connection: psycopg.Connection[tuple[object, ...]], database: str) -> None:
    """Let the suite's roles, and nobody else, connect to a database; a copy of a database doesn't get that with it."""
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(database)))
    roles = sql.SQL(", ").join(map(sql.Identifier, all_roles()))
    connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(sql.Identifier(database), roles))


def _make_role(connection: psycopg.Connection[tuple[object, ...]], role: str, password: str) -> None:
    exists = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone()
    verb = sql.SQL("ALTER" if exists else "CREATE")
    options = sql.SQL("LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT PASSWORD {}").format(sql.Literal(password))
    connection.execute(sql.SQL("{} ROLE {} {}").format(verb, sql.Identifier(role), options))


def _make_database(connection: psycopg.Connection[tuple[object, ...]], database: str) -> None:
    if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,)).fetchone() is None:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))


def _make_schema(connection: psycopg.Connection[tuple[object, ...]], service: str) -> None:
    runtime, migrate = role_names(service)
    names = {
        "schema": sql.Identifier(service),
        "runtime": sql.Identifier(runtime),
        "migrate": sql.Identifier(migrate),
    }
    for statement in (
        "REVOKE ALL ON SCHEMA public FROM PUBLIC",
        "CREATE SCHEMA IF NOT EXISTS {schema} AUTHORIZATION {migrate}",
        "GRANT USAGE ON SCHEMA {schema} TO {runtime}",
        (
            "ALTER DEFAULT PRIVILEGES FOR ROLE {migrate} IN SCHEMA {schema}"
            " GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {runtime}"
        ),
        "ALTER DEFAULT PRIVILEGES FOR ROLE {migrate} IN SCHEMA {schema} GRANT USAGE, SELECT ON SEQUENCES TO {runtime}",
        "ALTER ROLE {runtime} SET search_path = {schema}",
        "ALTER ROLE {migrate} SET search_path = {schema}",
    ):
        connection.execute(sql.SQL(statement).format(**names))
    for setting, value in _TIMEOUTS.items():
        connection.execute(
            sql.SQL("ALTER ROLE {} SET {} = {}").format(names["runtime"], sql.Identifier(setting), sql.Literal(value))
        )
