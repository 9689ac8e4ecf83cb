"""docs/data-protection.md names every table and column that there is, and nothing else."""

from collections import defaultdict

import psycopg

from services.stack.roles import SERVICES
from tests.support.data_protection import rows
from tests.support.databases import TestDatabase


def _told() -> dict[str, set[str]]:
    """Return what the page says: the columns by table; of tables that share a row, all that the row names."""
    told: defaultdict[str, set[str]] = defaultdict(set)
    for row in rows():
        for table in row.tables:
            told[table] |= row.columns
    return dict(told)


def test_every_table_and_column_is_on_the_page(database: TestDatabase) -> None:
    columns = """
        SELECT table_schema || '.' || table_name, column_name FROM information_schema.columns
        WHERE table_schema = ANY(%s) AND table_name <> 'alembic_version'
    """
    found: defaultdict[str, set[str]] = defaultdict(set)
    with psycopg.connect(database.superuser_dsn) as connection:
        for table, column in connection.execute(columns, [list(SERVICES)]).fetchall():
            found[table].add(column)
    told = _told()
    assert set(told) == set(found)
    assert {table: names - told[table] for table, names in found.items() if names - told[table]} == {}
    known = set[str]().union(*found.values())
    assert {table: names - known for table, names in told.items() if names - known} == {}
