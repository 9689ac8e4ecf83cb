"""The epoch of a schema: which life of it the positions of a log, or of changes, belong to.

It stands in the schema's table `deployment` and rotates by itself when that table shows that the schema is not the one
that it was: the server has another identity or timeline; the row was not written by the transaction that it names, so
that it came out of a backup; or the server has written less than this process has seen it write. That is looked at on
every new connection of messages' committer, and every few seconds: a process that does nothing opens no connection, and
a server tells its new timeline only some time after it was promoted. Whoever puts back a copy of the server's files,
while no process runs that could notice, rotates it with `rotate`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID, uuid4

import psycopg
import structlog
from sqlalchemy import text

from services.runtime.clock import Clock
from services.runtime.contract.errors import ChatkitError
from services.runtime.data.database import Database

_log = structlog.get_logger()
# The timeline is that of what is being written: the control file tells a new one only at the first checkpoint after a
# promotion, and what was appended before that would stand in the old epoch.
_TIMELINE = "('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int"
# What is flushed is never lost, so this never goes back on one timeline: not even when the machine loses its power.
_FLUSHED = "(pg_current_wal_flush_lsn() - '0/0')::bigint"
IDENTITY = f"SELECT system_identifier, {_TIMELINE} AS timeline_id FROM pg_control_system()"  # noqa: S608 - constants
# A row that a backup brings back is written by another transaction than the one that it names.
_IS_WRITTEN_HERE = "written_by IS NULL OR xmin = written_by::xid"

Connection = psycopg.AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Glance:
    """The epoch as it was at a moment, and what was counted at that same moment."""

    epoch: UUID
    counted: Any


class Epoch:
    """Knows the epoch of a schema since the first look.

    `counted` is an expression in SQL that every glance reads as well.
    """

    def __init__(self, schema: str, *, counted: str = "0") -> None:
        self._schema = schema
        self._listeners: list[Callable[[], None]] = []
        self._value: UUID | None = None
        # How much the server had written when it was last seen, in bytes.
        self._flushed = 0
        # Reads what `look` would, and writes nothing.
        self._glance = text(f"""
            SELECT d.epoch, {counted} AS counted, {_FLUSHED} AS flushed,
                (d.system_identifier, d.timeline_id) = (s.system_identifier, {_TIMELINE})
                    AND d.written_by IS NOT NULL AND d.xmin = d.written_by::xid AS is_this_one
            FROM {schema}.deployment AS d, pg_control_system() AS s
        """)  # noqa: S608 - constants

    @property
    def value(self) -> UUID | None:
        """The epoch; None as long as the database was never reached."""
        return self._value

    def listen(self, on_change: Callable[[], None]) -> None:
        """Call this whenever the epoch has become another; who has listened first is called first."""
        self._listeners.append(on_change)

    async def check(self) -> None:
        """Raise as long as the database was never reached."""
        if self._value is None:
            raise LookupError(f"the epoch of {self._schema} is not known yet")

    async def look(self, connection: Connection, *, ended: UUID | None = None) -> None:
        """Read the epoch, and rotate it when the schema is not the one that it was, or when it is one that has ended.

        The transaction is committed.
        """
        seen, known = self._flushed, self._value
        identity = await _row(connection, IDENTITY)
        insert = f"INSERT INTO {self._schema}.deployment (epoch, system_identifier, timeline_id, written_by)"
        await connection.execute(
            f"{insert} VALUES (%s, %s, %s, pg_current_xact_id()) ON CONFLICT DO NOTHING",
            (uuid4(), *identity),
        )
        read = (
            f"SELECT epoch, system_identifier, timeline_id, written_by IS NULL, {_IS_WRITTEN_HERE},"  # noqa: S608
            f" {_FLUSHED} FROM {self._schema}.deployment FOR UPDATE"
        )
        epoch, *of_row, is_unsigned, is_written_here, flushed = await _row(connection, read)
        went_back = epoch == known and flushed < seen
        if tuple(of_row) != tuple(identity) or not is_written_here or went_back or epoch == ended:
            epoch = await self._rotate(connection, identity)
        elif is_unsigned:
            # Of the release before, which did not sign its rows.
            await connection.execute(f"UPDATE {self._schema}.deployment SET written_by = pg_current_xact_id()")  # noqa: S608
        await connection.commit()
        self._flushed = flushed
        self._take(epoch)

    async def _rotate(self, connection: Connection, identity: tuple[Any, ...]) -> UUID:
        epoch = uuid4()
        rotate = (
            f"UPDATE {self._schema}.deployment SET epoch = %s, system_identifier = %s, timeline_id = %s,"  # noqa: S608
            " written_by = pg_current_xact_id()"
        )
        await connection.execute(rotate, (epoch, *identity))
        _log.warning("epoch_rotated", schema=self._schema, epoch=str(epoch))
        return epoch

    def _take(self, epoch: UUID) -> None:
        changed = self._value not in {None, epoch}
        self._value = epoch
        if changed:
            for on_change in self._listeners:
                on_change()

    async def glance(self, database: Database) -> Glance:
        """Return the epoch, after having rotated it where that is due, and what was counted in the same moment."""
        while True:
            seen = self._flushed
            async with database.reading() as connection:
                row = (await connection.execute(self._glance)).one_or_none()
            if row is not None and row.is_this_one and row.epoch == self._value and row.flushed >= seen:
                self._flushed = max(self._flushed, row.flushed)
                return Glance(row.epoch, row.counted)
            await self._look_at(database)

    async def end(self, database: Database) -> None:
        """Rotate the epoch, unless that was done: something of it that this process has seen is there no more."""
        ended = self._value
        if (await self.glance(database)).epoch == ended:
            await self._look_at(database, ended=ended)

    async def _look_at(self, database: Database, *, ended: UUID | None = None) -> None:
        async with database.transaction() as connection:
            raw = await connection.get_raw_connection()
            await self.look(cast("Connection", raw.driver_connection), ended=ended)

    async def fits(self, database: Database) -> bool:
        """Tell whether the schema is the one that the epoch was given to; also True before there was any epoch."""
        async with database.reading() as connection:
            row = (await connection.execute(self._glance)).one_or_none()
        return row is None or row.is_this_one

    async def run(self, database: Database, clock: Clock, interval: float) -> None:
        """Look every few seconds until cancelled."""
        while True:
            await clock.sleep(interval)
            try:
                await self.glance(database)
            except ChatkitError as error:
                _log.info("epoch_unread", schema=self._schema, reason=error.reason)


async def _row(connection: Connection, query: str) -> tuple[Any, ...]:
    row: tuple[Any, ...] | None = await (await connection.execute(query)).fetchone()
    if row is None:
        raise RuntimeError("the database tells no identity and no epoch")
    return row


def rotate(dsn: str, schema: str) -> UUID | None:
    """Rotate the epoch and return it; None when there was never one, so that there is nothing to rotate."""
    epoch = uuid4()
    with psycopg.connect(dsn) as connection:
        update = f"UPDATE {schema}.deployment SET epoch = %s, written_by = pg_current_xact_id()"  # noqa: S608 - a name
        return epoch if connection.execute(update, (epoch,)).rowcount else None
