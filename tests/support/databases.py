"""A PostgreSQL for the whole run, and for each test a database of its own, copied from one that was migrated once."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import psycopg
from psycopg import sql

from services.runtime.migrations import upgrade
from services.stack.postgres import Postgres
from services.stack.roles import SERVICES, all_roles, bootstrap, role_names

ROOT = Path(__file__).parents[2]
TEMPLATE = "chatkit_template"
_PASSWORDS = {role: f"password of {role}" for role in all_roles()}
_numbers = count()


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
    """Run a PostgreSQL that has the template."""
    with Postgres(folder / "data", folder / "postgres.log", password="superuser", max_connections=200) as postgres:
        make_template(postgres)
        yield postgres


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
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(name, sql.Identifier(TEMPLATE)))
    # What a database grants as a whole is not copied with it.
    bootstrap(postgres.superuser_dsn, database.name, _PASSWORDS)
    try:
        yield database
    finally:
        with psycopg.connect(postgres.superuser_dsn, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
