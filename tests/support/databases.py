"""A PostgreSQL for the whole run, and for each test a database of its own, copied from one that was migrated once."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import psycopg
from psycopg import sql

from services.runtime.data.migrations import upgrade
from services.stack.machine.postgres import Postgres
from services.stack.roles import SERVICES, all_roles, role_names
from services.stack.schemas import admit_services, bootstrap
from tests.support.eventually import eventually

ROOT = Path(__file__).parents[2]
TEMPLATE = "chatkit_template"
_PASSWORDS = {role: f"password of {role}" for role in all_roles()}
_numbers = count()
# Nothing here has to outlive the machine, only the processes, and nobody has a password worth guessing. A service waits
# for a connection for 3 s.
_SETTINGS = {"fsync": "off", "max_wal_size": "128MB", "scram_iterations": "1", "authentication_timeout": "5s"}
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of a name that nobody guesses is made in it
_ROOM_BYTES = 1 << 30  # several times what a cluster ever had
# Whoever was stopped while it was connecting leaves one that has not said who it is, in no database yet: FORCE does not
# end it, and DROP DATABASE waits for it, which is until authentication_timeout.
_END_HALF_OPEN = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE state = 'starting'"


@dataclass(frozen=True)
class TestDatabase:
    """A migrated database of the suite."""

    __test__ = False

    postgres: Postgres
    name: str

    def dsn(self, service: str) -> str:
        """Return the URL of a service's runtime role."""
        return self._dsn(role_names(service)[0])

    def migrate_dsn(self, service: str) -> str:
        """Return the URL of the role that owns a service's schema."""
        return self._dsn(role_names(service)[1])

    @property
    def superuser_dsn(self) -> str:
        """The URL of the superuser, in this database."""
        return self.postgres.dsn("postgres", self.postgres.password, self.name)

    def changes(self, schema: str) -> int:
        """Return how many changes a schema has, those without a version too."""
        tables = (sql.Identifier(schema, name) for name in ("changes", "unordered_changes"))
        query = sql.SQL("SELECT (SELECT count(*) FROM {}) + (SELECT count(*) FROM {})").format(*tables)
        with psycopg.connect(self.superuser_dsn) as connection:
            row = connection.execute(query).fetchone()
        assert row is not None
        return int(row[0])

    async def ordered(self, schema: str) -> None:
        """Return when all changes of a schema have their versions: somebody follows them."""
        await eventually(lambda: self.count(f"{schema}.unordered_changes") == 0)

    def count(self, table: str) -> int:
        """Return how many rows a table has."""
        schema, name = table.split(".")
        with psycopg.connect(self.superuser_dsn) as connection:
            query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, name))
            row = connection.execute(query).fetchone()
        assert row is not None
        return int(row[0])

    def _dsn(self, role: str) -> str:
        return self.postgres.dsn(role, _PASSWORDS[role], self.name)


@contextmanager
def cluster(folder: Path) -> Iterator[Postgres]:
    """Run a PostgreSQL that has the template; its log is in the folder."""
    with (
        tempfile.TemporaryDirectory(prefix="chatkit-postgres-", dir=_memory()) as data,
        Postgres(
            Path(data) / "data", folder / "postgres.log", password="superuser", max_connections=200, settings=_SETTINGS
        ) as postgres,
    ):
        make_template(postgres)
        yield postgres


def _memory() -> Path | None:
    """Return where files are kept in memory, if there is such a place: copying a database is then done in no time."""
    if not os.access(_SHARED_MEMORY, os.W_OK):
        return None
    return _SHARED_MEMORY if shutil.disk_usage(_SHARED_MEMORY).free >= _ROOM_BYTES else None


def make_template(postgres: Postgres) -> None:
    """Make the database that `clone` copies."""
    bootstrap(postgres.superuser_dsn, TEMPLATE, _PASSWORDS)
    template = TestDatabase(postgres, TEMPLATE)
    for service in SERVICES:
        upgrade(template.migrate_dsn(service), service, ROOT / "services" / service / "migrations")


@contextmanager
def clone(postgres: Postgres) -> Iterator[TestDatabase]:
    """Lend a copy of the template."""
    database = TestDatabase(postgres, f"test_{next(_numbers)}")
    name = sql.Identifier(database.name)
    with psycopg.connect(postgres.superuser_dsn, autocommit=True) as connection:
        # Copying the files is a fifth of the work of writing every page to the log.
        copied = "CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy"
        connection.execute(sql.SQL(copied).format(name, sql.Identifier(TEMPLATE)))
        admit_services(connection, database.name)
        for service in SERVICES:
            # A busy machine lets a process stand still for longer than the server has patience in production.
            patient = "ALTER ROLE {} IN DATABASE {} SET idle_in_transaction_session_timeout = '60s'"
            connection.execute(sql.SQL(patient).format(sql.Identifier(role_names(service)[0]), name))
    try:
        yield database
    finally:
        with psycopg.connect(postgres.superuser_dsn, autocommit=True) as connection:
            connection.execute(_END_HALF_OPEN)
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
