"""`migrate` says what it did, and what is wrong in one sentence."""

import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from services.runtime.data.database import in_one_line
from services.runtime.data.migrations import Upgraded, upgrade
from services.stack.roles import role_names
from tests.support.databases import ROOT, TestDatabase

_MIGRATIONS = ROOT / "services" / "users" / "migrations"
_REVISIONS = sorted(path.name.partition("_")[0] for path in (_MIGRATIONS / "versions").glob("0*.py"))


def _emptied(database: TestDatabase) -> TestDatabase:
    """Take everything out of the schema of users."""
    with psycopg.connect(database.postgres.superuser_dsn, dbname=database.name) as connection:
        connection.execute("DROP SCHEMA users CASCADE")
        connection.execute(f"CREATE SCHEMA users AUTHORIZATION {role_names('users')[1]}")
    return database


def test_what_was_applied_is_said_and_that_nothing_was(database: TestDatabase) -> None:
    dsn = _emptied(database).migrate_dsn("users")
    first, second = (upgrade(dsn, "users", _MIGRATIONS) for _ in range(2))
    assert first == Upgraded(_REVISIONS, _REVISIONS[-1])
    assert str(first) == f"applied {', '.join(_REVISIONS)}; the schema is at {_REVISIONS[-1]}"
    assert str(second) == f"nothing to do, the schema is at {_REVISIONS[-1]}"


def test_a_schema_of_a_later_release_is_left_as_it_is(database: TestDatabase) -> None:
    dsn = database.migrate_dsn("users")
    with psycopg.connect(dsn) as connection:
        connection.execute("UPDATE users.alembic_version SET version_num = '9999'")
    assert str(upgrade(dsn, "users", _MIGRATIONS)) == "nothing to do, the schema is at 9999 already, of a later release"
    with psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT version_num FROM users.alembic_version").fetchone() == ("9999",)


def test_a_lock_that_can_not_be_had_is_one_sentence(database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.runtime.data.migrations._LOCK_TIMEOUT", "10ms")
    dsn = database.migrate_dsn("users")
    with psycopg.connect(dsn) as holder:
        holder.execute("LOCK TABLE users.alembic_version")
        with pytest.raises(OperationalError) as refused:
            upgrade(dsn, "users", _MIGRATIONS)
    assert in_one_line(refused.value) == "canceling statement due to lock timeout"
