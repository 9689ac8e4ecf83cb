"""Waits for the writes that were under way when a fence was put up.

A write looks at the fence in the statement that writes or locks, or after it. So it either sees the fence, or has
locked its table before the fence was there: whoever removes things waits for those who have, and finds all that they
have written. PostgreSQL's own CREATE INDEX CONCURRENTLY waits in this way; nobody waits for the one who waits.
"""

from collections.abc import Sequence

from sqlalchemy import text

from services.runtime.clock import Clock
from services.runtime.data.database import Database
from services.runtime.deadline import Deadline

_PAUSE_SECONDS = 0.01
_WRITING = text("""
    SELECT DISTINCT virtualtransaction FROM pg_locks
    WHERE locktype = 'relation' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND relation = ANY(CAST(CAST(:tables AS regclass[]) AS oid[]))
        AND mode IN ('RowShareLock', 'RowExclusiveLock') AND pid <> pg_backend_pid()
""")
_STILL_OPEN = text("""
    SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'virtualxid' AND virtualxid = ANY(CAST(:those AS text[])))
""")


class Writers:
    """The transactions that write to some tables; each is named with its schema."""

    def __init__(self, database: Database, clock: Clock, tables: Sequence[str]) -> None:
        self._database = database
        self._clock = clock
        self._tables = list(tables)

    async def at_work(self) -> list[str]:
        """Return the transactions that have written, or have locked something to write."""
        async with self._database.reading() as connection:
            return list((await connection.execute(_WRITING, {"tables": self._tables})).scalars())

    async def settled(self, until: Deadline) -> bool:
        """Return whether all that write now have ended, waiting for a while."""
        return await self.have_ended(await self.at_work(), until)

    async def have_ended(self, transactions: Sequence[str], until: Deadline) -> bool:
        """Return whether all of them have ended, waiting for a while."""
        while transactions and await self._are_open(transactions):
            if not until.left():
                return False
            await self._clock.sleep(_PAUSE_SECONDS)
        return True

    async def _are_open(self, transactions: Sequence[str]) -> bool:
        async with self._database.reading() as connection:
            return bool((await connection.execute(_STILL_OPEN, {"those": list(transactions)})).scalar_one())
