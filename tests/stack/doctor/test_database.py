"""What is wrong with a database is said in a sentence each; each thing is made wrong in a real PostgreSQL."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from services.stack.doctor.database import (
    Connection,
    Server,
    check_clocks,
    check_connections,
    check_database,
    check_dead_rows,
    check_long_transactions,
    check_schemas,
)
from services.stack.doctor.findings import Finding, Level
from services.stack.machine.postgres import Postgres
from services.stack.roles import SERVICES
from tests.support.databases import TestDatabase


@pytest.fixture
def connection(database: TestDatabase) -> Iterator[Connection]:
    """Lend a superuser's connection."""
    with psycopg.connect(database.superuser_dsn, autocommit=True) as lent:
        yield lent


def _shifted(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def test_a_database_that_is_well_has_no_findings(database: TestDatabase) -> None:
    assert list(check_database(Server(database.superuser_dsn, log="postgres.log"))) == []


def test_one_that_does_not_answer_is_the_only_finding(tmp_path: Path) -> None:
    (finding,) = check_database(Server(f"host={tmp_path} user=postgres dbname=chatkit", log="logs/postgres.log"))
    assert (finding.level, finding.check) == (Level.BROKEN, "database")
    assert finding.what.startswith("PostgreSQL can't be reached (")
    assert finding.advice.endswith("its log is logs/postgres.log")


def test_one_that_ends_while_it_is_looked_at_is_a_finding(database: TestDatabase) -> None:
    def clock() -> datetime:
        with psycopg.connect(database.superuser_dsn, autocommit=True) as killer:
            killer.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        return _shifted(0)

    (finding,) = check_database(Server(database.superuser_dsn, log="postgres.log"), clock)
    assert finding.what.startswith("PostgreSQL could not be looked at (")


@pytest.mark.parametrize(("ours", "side"), [(-60, "ahead of"), (60, "behind")])
def test_a_clock_that_is_another_than_ours_is_said(connection: Connection, ours: float, side: str) -> None:
    (finding,) = check_clocks(connection, lambda: _shifted(ours))
    assert finding.check == "clocks"
    assert finding.what.startswith("the database's clock is ")
    assert finding.what.endswith(f" s {side} that of this machine")
    assert list(check_clocks(connection, lambda: _shifted(0), timedelta(seconds=30))) == []


def test_connections_are_counted_against_those_that_may_be(tmp_path: Path) -> None:
    with (
        Postgres(tmp_path / "data", tmp_path / "log", password="secret", max_connections=8) as postgres,
        ExitStack() as s,
    ):
        connection = s.enter_context(psycopg.connect(postgres.superuser_dsn, autocommit=True))
        found: list[list[Finding]] = []
        for _ in range(5):
            found.append(list(check_connections(connection)))
            s.enter_context(psycopg.connect(postgres.superuser_dsn))
        found.append(list(check_connections(connection)))
    assert found[:4] == [[], [], [], []]
    (almost,), (full,) = found[4:]
    assert (almost.level, almost.what) == (
        Level.SOON,
        "4 of 5 connections to PostgreSQL are used (postgres 4)",
    )
    assert (full.level, full.what) == (Level.BROKEN, "5 of 5 connections to PostgreSQL are used (postgres 5)")


def test_a_table_that_is_mostly_dead_rows_is_named(connection: Connection) -> None:
    connection.execute("CREATE TABLE rooms.worn (number int) WITH (autovacuum_enabled = false)")
    connection.execute("INSERT INTO rooms.worn SELECT generate_series(1, 100)")
    connection.execute("DELETE FROM rooms.worn WHERE number <= 60")
    connection.execute("SELECT pg_stat_force_next_flush()")
    (finding,) = check_dead_rows(connection, least=50)
    assert (finding.level, finding.what) == (Level.ODD, "60 of 100 rows of rooms.worn are dead")
    assert finding.advice.startswith("VACUUM rooms.worn")
    assert list(check_dead_rows(connection)) == [], "so few are nothing to speak of"
    assert list(check_dead_rows(connection, least=50, share=0.7)) == []
    connection.execute("VACUUM rooms.worn")
    assert list(check_dead_rows(connection, least=50)) == []


def test_a_transaction_that_is_open_for_long_is_named(database: TestDatabase, connection: Connection) -> None:
    with psycopg.connect(database.superuser_dsn) as other:
        other.execute("SELECT 1")
        pid = other.info.backend_pid
        found = [
            one
            for one in check_long_transactions(connection, timedelta())
            if f"pg_terminate_backend({pid})" in str(one)
        ]
        assert [(one.level, one.check) for one in found] == [(Level.ODD, "long transactions")]
        assert found[0].what.startswith("a transaction of postgres is open for ")
        assert found[0].what.endswith(" s (idle in transaction)")
        assert list(check_long_transactions(connection)) == []


def test_schemas_are_compared_with_the_migrations_of_the_code(connection: Connection) -> None:
    assert list(check_schemas(connection)) == []
    connection.execute("UPDATE users.alembic_version SET version_num = '0000'")
    connection.execute("UPDATE files.alembic_version SET version_num = '9999'")
    connection.execute("DROP TABLE rooms.alembic_version")
    found = list(check_schemas(connection))
    assert [one.level for one in found] == [Level.BROKEN, Level.BROKEN]
    assert found[0].what.startswith("the schema users is at 0000, and this code needs 0")
    assert found[1].what == "the schema rooms was not made"
    assert found[1].advice == "run python -m services.rooms migrate, as ./chatkit up does"
    assert [one.what for one in check_schemas(connection, newest=dict.fromkeys(SERVICES, "0000"))] == [found[1].what]
