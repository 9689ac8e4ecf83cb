"""Appending what was said before, elsewhere: many messages in a transaction, and nobody is told.

Whoever follows the rooms finds their new heads, as after anything that the bus has lost.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from services.messages.log.append import CommitUnknown, Connection, append, make_head
from services.messages.log.connecting import connecting
from services.messages.log.outcomes import Result
from services.messages.model import Draft, WriteKey
from services.runtime.contract.errors import unknown_outcome
from services.runtime.data.epoch import Epoch
from services.runtime.ids import RoomUid

# Senders hold a head for moments.
_LOCK_WAIT_MS = 10_000


class BulkLog:
    """Appends to the logs of rooms on a connection of its own."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        # Of the rooms of the last messages.
        self._heads: set[RoomUid] = set()

    async def append(self, drafts: Sequence[Draft]) -> list[Result]:
        """Append messages in one transaction, those to one room in the order given; return what became of each.

        Of those with one key the later ones follow in a transaction of their own. Raises OUTCOME_UNKNOWN.
        """
        rooms = {draft.room_uid for draft in drafts}
        for room_uid in rooms - self._heads:
            await make_head(self._connection, room_uid)
        self._heads = rooms
        results: dict[int, Result] = {}
        waiting = list(range(len(drafts)))
        while waiting:
            numbers = {drafts[number].key: number for number in reversed(waiting)}
            first = sorted(numbers.values())
            appended = await self._append([drafts[number] for number in first])
            results |= {number: appended[drafts[number].key] for number in first}
            waiting = [number for number in waiting if number not in results]
        return [results[number] for number in range(len(drafts))]

    async def _append(self, drafts: Sequence[Draft]) -> dict[WriteKey, Result]:
        try:
            return await append(self._connection, drafts, wait_ms=_LOCK_WAIT_MS)
        except CommitUnknown:
            raise unknown_outcome() from None


@asynccontextmanager
async def bulk_log(dsn: str) -> AsyncIterator[BulkLog]:
    """Lend a log that appends in bulk."""
    async with connecting(dsn, Epoch("messages"))() as connection:
        yield BulkLog(connection)
