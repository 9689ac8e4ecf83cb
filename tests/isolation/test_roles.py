"""A service's role reads and writes rows of its own schema, and can touch nothing else."""

import psycopg
import pytest

from services.stack.roles import SERVICES
from tests.support.databases import TestDatabase

_TABLES = {"users": "users.users", "rooms": "rooms.rooms", "messages": "messages.heads"}


def _refused(dsn: str, statement: str) -> None:
    with psycopg.connect(dsn) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement.encode())


@pytest.mark.parametrize("service", SERVICES)
def test_no_role_reads_or_writes_the_schema_of_another(database: TestDatabase, service: str) -> None:
    for other, table in _TABLES.items():
        if other != service:
            for dsn in (database.dsn(service), database.migrate_dsn(service)):
                _refused(dsn, f"SELECT * FROM {table}")
                _refused(dsn, f"DELETE FROM {table}")
                _refused(dsn, f"CREATE TABLE {other}.mine ()")


@pytest.mark.parametrize("service", SERVICES)
def test_the_role_of_a_process_changes_no_schema_not_even_its_own(database: TestDatabase, service: str) -> None:
    for statement in (f"CREATE TABLE {service}.mine ()", "CREATE TABLE public.mine ()", "CREATE SCHEMA mine"):
        _refused(database.dsn(service), statement)
    if service in _TABLES:
        _refused(database.dsn(service), f"ALTER TABLE {_TABLES[service]} ADD COLUMN mine int")
        _refused(database.dsn(service), f"DROP TABLE {_TABLES[service]}")
        _refused(database.dsn(service), f"TRUNCATE {_TABLES[service]} CASCADE")
        with psycopg.connect(database.dsn(service)) as connection:
            connection.execute(f"SELECT * FROM {_TABLES[service]}".encode())


def test_a_session_that_holds_locks_and_does_nothing_is_bounded(database: TestDatabase) -> None:
    for service in SERVICES:
        with psycopg.connect(database.dsn(service)) as connection:
            found = connection.execute("SELECT rolconfig FROM pg_roles WHERE rolname = current_user").fetchone()
        assert found is not None
        assert {"idle_in_transaction_session_timeout=2s", "lock_timeout=1s"} <= set(found[0])
