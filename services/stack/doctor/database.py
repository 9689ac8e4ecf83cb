"""Checks of PostgreSQL, over a connection of somebody who may see all of it: a superuser, or who has pg_monitor."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from services.runtime.data.database import in_one_line
from services.runtime.data.migrations import newest_revision
from services.stack.doctor.findings import Finding, Level
from services.stack.roles import SERVICES

_CONNECT_SECONDS = 5
_STATEMENT_SECONDS = 10
_PACKAGE = Path(__file__).parents[2]
_FULL, _ALMOST_FULL = 1.0, 0.8

Connection = psycopg.Connection[Any]

_CONNECTIONS = """
    SELECT count(*), current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
    FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
_DEAD_ROWS = """
    SELECT schemaname || '.' || relname, n_dead_tup, n_live_tup + n_dead_tup FROM pg_stat_user_tables
    WHERE n_dead_tup >= %s AND n_dead_tup > %s * (n_live_tup + n_dead_tup) ORDER BY n_dead_tup DESC, 1
"""
_LONG_TRANSACTIONS = """
    SELECT pid, usename, state, extract(epoch FROM clock_timestamp() - xact_start)::float FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND clock_timestamp() - xact_start > %s
    ORDER BY xact_start
"""


@dataclass(frozen=True, slots=True)
class Server:
    """A PostgreSQL: how it is reached, whose schemas it should have, and where its own log is, if that is known."""

    dsn: str
    services: Sequence[str] = tuple(SERVICES)
    log: str = ""


def check_database(server: Server, clock: Callable[[], datetime] | None = None) -> Iterator[Finding]:
    """Connect and run all checks of this module."""
    where = f"its log is {server.log}" if server.log else "look at its log"
    try:
        connection = psycopg.connect(server.dsn, connect_timeout=_CONNECT_SECONDS, autocommit=True)
    except psycopg.Error as error:
        advice = f"it may be down, or start, or have no connection to spare; {where}"
        yield Finding(Level.BROKEN, "database", f"PostgreSQL can't be reached ({in_one_line(error)})", advice)
        return
    with connection:
        try:
            connection.execute(f"SET statement_timeout = '{_STATEMENT_SECONDS}s'")
            yield from check_clocks(connection, clock or _now)
            yield from check_connections(connection)
            yield from check_dead_rows(connection)
            yield from check_long_transactions(connection)
            yield from check_schemas(connection, server.services)
        except psycopg.Error as error:
            what = f"PostgreSQL could not be looked at ({in_one_line(error)})"
            yield Finding(Level.BROKEN, "database", what, where)


def _now() -> datetime:
    return datetime.now(UTC)


def check_clocks(
    connection: Connection, clock: Callable[[], datetime], most: timedelta = timedelta(seconds=2)
) -> Iterator[Finding]:
    """Compare the database's clock with that of this machine."""
    before = clock()
    told = _row(connection, "SELECT clock_timestamp()")[0]
    after = clock()
    ahead = told - after if told > after else min(told - before, timedelta())
    if abs(ahead) > most:
        side = "ahead of" if ahead > timedelta() else "behind"
        yield Finding(
            Level.ODD,
            "clocks",
            f"the database's clock is {abs(ahead).total_seconds():,.1f} s {side} that of this machine",
            "let both follow NTP; presence and the times of messages go by the database's, tokens by that of services",
        )


def check_connections(connection: Connection, almost: float = _ALMOST_FULL) -> Iterator[Finding]:
    """Compare how many connections there are with how many there may be."""
    used, most = _row(connection, _CONNECTIONS)
    if used < almost * most:
        return
    by_role = connection.execute(
        "SELECT usename, count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
        " AND pid <> pg_backend_pid() GROUP BY 1 ORDER BY 2 DESC, 1"
    ).fetchall()
    shown = ", ".join(f"{role} {count}" for role, count in by_role)
    yield Finding(
        Level.BROKEN if used >= _FULL * most else Level.SOON,
        "connections",
        f"{used} of {most} connections to PostgreSQL are used ({shown})",
        "raise max_connections, or lower CHATKIT_DATABASE_CONNECTIONS",
    )


def check_dead_rows(connection: Connection, least: int = 10_000, share: float = 0.5) -> Iterator[Finding]:
    """Look for tables of which most is rows that nobody sees any more, and that VACUUM has not removed."""
    for table, dead, rows in connection.execute(_DEAD_ROWS, (least, share)).fetchall():
        yield Finding(
            Level.ODD,
            "dead rows",
            f"{dead:,} of {rows:,} rows of {table} are dead",
            f"VACUUM {table}, and look what keeps autovacuum from it: a transaction that is open for long, or settings",
        )


def check_long_transactions(connection: Connection, longest: timedelta = timedelta(minutes=1)) -> Iterator[Finding]:
    """Look for transactions that are open for so long that they keep VACUUM from its work, and others from locks."""
    for pid, role, state, seconds in connection.execute(_LONG_TRANSACTIONS, (longest,)).fetchall():
        yield Finding(
            Level.ODD,
            "long transactions",
            f"a transaction of {role} is open for {seconds:,.0f} s ({state})",
            f"SELECT pg_terminate_backend({pid}) ends it, if whoever began it has gone",
        )


def check_schemas(
    connection: Connection, services: Iterable[str] = SERVICES, newest: Mapping[str, str] | None = None
) -> Iterator[Finding]:
    """Compare services' schemas with the migrations of the code; one of a later release is as it should be."""
    for service in services:
        wanted = newest[service] if newest is not None else newest_revision(_PACKAGE / service / "migrations")
        found = _revision(connection, service)
        advice = f"run python -m services.{service} migrate, as ./chatkit up does"
        if found is None:
            yield Finding(Level.BROKEN, "schemas", f"the schema {service} was not made", advice)
        # Revisions are numbers of as many digits each.
        elif found < wanted:
            what = f"the schema {service} is at {found}, and this code needs {wanted}"
            yield Finding(Level.BROKEN, "schemas", what, advice)


def _revision(connection: Connection, service: str) -> str | None:
    with suppress(psycopg.errors.UndefinedTable):
        query = sql.SQL("SELECT max(version_num) FROM {}").format(sql.Identifier(service, "alembic_version"))
        row = connection.execute(query).fetchone()
        return row[0] if row is not None else None
    return None


def _row(connection: Connection, query: Any) -> tuple[Any, ...]:
    row = connection.execute(query).fetchone()
    if row is None:
        raise psycopg.DataError("PostgreSQL answered nothing")
    return tuple(row)
