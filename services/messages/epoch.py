"""The deployment's epoch: which life of the database the log belongs to.

It rotates by itself when the server's identity or timeline is another than the one that the log was last written to,
and that is looked at on every new connection, before anything is appended.
"""

from collections.abc import Callable
from uuid import UUID, uuid4

import structlog

from services.messages.log import Connection

_log = structlog.get_logger()
_IDENTITY = """
    SELECT s.system_identifier, c.timeline_id FROM pg_control_system() AS s, pg_control_checkpoint() AS c
"""
_FIRST = """
    INSERT INTO messages.deployment (epoch, system_identifier, timeline_id) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING
"""
_READ = "SELECT epoch, system_identifier, timeline_id FROM messages.deployment FOR UPDATE"
_ROTATE = "UPDATE messages.deployment SET epoch = %s, system_identifier = %s, timeline_id = %s"


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
        identity = await (await connection.execute(_IDENTITY)).fetchone()
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
