"""The deployment's epoch: which life of the database the log belongs to.

It rotates by itself when the server's identity or timeline is another than the one that the log was last written to,
and that is looked at on every new connection, before anything is appended, and every few seconds: a process that sends
nothing opens no connection, and a server tells its new timeline only some time after it was promoted. Whoever restores
an earlier state by hand rotates it with `rotate`.
"""

from collections.abc import Callable
from typing import cast
from uuid import UUID, uuid4

import psycopg
import structlog
from sqlalchemy import text

from services.messages.log import Connection
from services.runtime.clock import Clock
from services.runtime.database import Database
from services.runtime.errors import Unavailable

_log = structlog.get_logger()
# The timeline is that of what is being written: the control file tells a new one only at the first checkpoint after a
# promotion, and what was appended before that would stand in the old epoch.
_TIMELINE = "('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int"
IDENTITY = f"SELECT system_identifier, {_TIMELINE} AS timeline_id FROM pg_control_system()"  # noqa: S608 - constants
_FIRST = """
    INSERT INTO messages.deployment (epoch, system_identifier, timeline_id) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING
"""
_READ = "SELECT epoch, system_identifier, timeline_id FROM messages.deployment FOR UPDATE"
_ROTATE = "UPDATE messages.deployment SET epoch = %s, system_identifier = %s, timeline_id = %s"
_ROTATE_BY_HAND = "UPDATE messages.deployment SET epoch = %s"
# Reads what `look` would, and writes nothing.
_GLANCE = text(f"""
    SELECT d.epoch, (d.system_identifier, d.timeline_id) = (s.system_identifier, {_TIMELINE}) AS is_this_one
    FROM messages.deployment AS d, pg_control_system() AS s
""")  # noqa: S608 - constants


class Epoch:
    """Knows the epoch since the first connection; `on_change` is called when it becomes another."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._value: UUID | None = None

    @property
    def value(self) -> UUID | None:
        """The epoch; None as long as the database was never reached."""
        return self._value

    async def check(self) -> None:
        """Raise as long as the database was never reached."""
        if self._value is None:
            raise LookupError("the log's epoch is not known yet")

    async def look(self, connection: Connection) -> None:
        """Read the epoch, and rotate it when the database is not the one that it was."""
        identity = await (await connection.execute(IDENTITY)).fetchone()
        if identity is None:
            raise RuntimeError("the database tells no identity")
        await connection.execute(_FIRST, (uuid4(), *identity))
        row = await (await connection.execute(_READ)).fetchone()
        if row is None:
            raise RuntimeError("the deployment has no epoch")
        epoch: UUID = row[0]
        if tuple(row[1:]) != tuple(identity):
            epoch = uuid4()
            await connection.execute(_ROTATE, (epoch, *identity))
            _log.warning("epoch_rotated", epoch=str(epoch))
        await connection.commit()
        changed = self._value not in {None, epoch}
        self._value = epoch
        if changed:
            self._on_change()

    async def run(self, database: Database, clock: Clock, interval: float) -> None:
        """Look every few seconds until cancelled."""
        while True:
            await clock.sleep(interval)
            try:
                await self._glance(database)
            except Unavailable as error:
                _log.info("epoch_unread", reason=error.reason)

    async def _glance(self, database: Database) -> None:
        async with database.reading() as connection:
            row = (await connection.execute(_GLANCE)).one_or_none()
        if row is None or not row.is_this_one or row.epoch != self._value:
            async with database.transaction() as connection:
                raw = await connection.get_raw_connection()
                await self.look(cast("Connection", raw.driver_connection))


def rotate(dsn: str) -> UUID | None:
    """Rotate the epoch and return it; None when no log was ever written, so that there is nothing to rotate."""
    epoch = uuid4()
    with psycopg.connect(dsn) as connection:
        return epoch if connection.execute(_ROTATE_BY_HAND, (epoch,)).rowcount else None
