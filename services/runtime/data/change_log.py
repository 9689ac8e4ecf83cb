"""The `changes` of a schema: commit-ordered, and numbered without a lock that writers would wait for.

Whoever changes something leaves the change, in the same transaction, in `unordered_changes`. Whoever looks for changes
first gives those that are committed by then their versions, under the lock of the one-row counter, which nobody else
needs. A change that was acknowledged before another one was begun, or that waited for a lock of it, has the smaller
version; between others there is no order to keep. Whoever has seen `n` knows that `n + 1` is next.

A change may also be given its version in its own transaction (`record_at_once`), behind all that are committed, under
the same lock until the commit. So does the release before, and a schema that it still writes to.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, Protocol, TypeVar

from sqlalchemy import (
    ColumnElement,
    Table,
    TableValuedAlias,
    bindparam,
    column,
    delete,
    exists,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.contract.errors import Aborted
from services.runtime.data.database import Database, unbroken
from services.runtime.data.epoch import Epoch
from services.runtime.data.query import Query

# How many are given their versions in one statement, and how often a state is read again that changes meanwhile.
_AT_ONCE, _TRIES = 1_000, 100


class Versioned(Protocol):
    """A change, with its place in the order of commits; 0 before it has one."""

    @property
    def version(self) -> int:
        """Where the change stands."""


Change = TypeVar("Change", bound=Versioned)


@dataclass(frozen=True, slots=True)
class Head:
    """The version of the last change, and the epoch that versions belong to, as of one moment."""

    epoch: str
    version: int


class ChangeLog(Generic[Change]):
    """A table of changes with `version` and `create_time`, and how a change becomes a row.

    Beside it are the one-row counter of versions, and a table of the same columns with an `id` in place of the version.
    """

    def __init__(
        self,
        changes: Table,
        counter: Table,
        unordered: Table,
        *,
        values_of: Callable[[Change], Mapping[str, Any]],
        change_of: Callable[[Any], Change],
    ) -> None:
        self._changes = changes
        self._counter = counter
        self._values_of = values_of
        self._change_of = change_of
        self._columns = [one.name for one in unordered.columns if one.name != "id"]
        # Whether the state that a statement reads is that of the version which it reads, and not ahead of it.
        self.is_settled: ColumnElement[bool] = ~exists(select(unordered.c.id))
        self._leave = Query(self._leaving(unordered))
        self._lock, self._order = _ordering(changes.fullname, counter.fullname, unordered.fullname, self._columns)

    def _leaving(self, unordered: Table) -> Any:
        """Return the statement that leaves changes without versions, and leaves none where they must be given at once.

        Its parameters are lists, one for each column.
        """
        lists = [bindparam(name, type_=ARRAY(unordered.c[name].type)) for name in self._columns]
        columns = [column(name, unordered.c[name].type) for name in self._columns]
        made: TableValuedAlias = (
            func.unnest(*lists).table_valued(*columns, with_ordinality="place", name="made").render_derived()
        )
        time = func.coalesce(made.c.create_time, func.clock_timestamp())
        values = [time if name == "create_time" else made.c[name] for name in self._columns]
        rows = select(*values).select_from(made.join(self._counter, self._counter.c.is_ordered_later))
        left = insert(unordered).from_select(self._columns, rows.order_by(made.c.place))
        return left.returning(unordered.c.id)

    async def record(self, connection: AsyncConnection, made: Sequence[Change]) -> None:
        """Leave changes where they are given their versions, in the transaction of the changes themselves.

        It comes last, behind all locks that say which of two changes is the first.
        """
        if not made:
            return
        rows = [self._values_of(change) for change in made]
        lists = {name: [row.get(name) for row in rows] for name in self._columns}
        if not await self._leave.within(connection, lists):
            await self.record_at_once(connection, made)

    async def record_at_once(self, connection: AsyncConnection, made: Sequence[Change]) -> int:
        """Give each change its version, behind all that are committed, and return the last one.

        Nobody else is given one until the commit.
        """
        first = await self.order(connection) + 1
        last = first + len(made) - 1
        await connection.execute(update(self._counter).values(version=last))
        rows = [{**self._values_of(change), "version": first + place} for place, change in enumerate(made)]
        # Row by row in one round trip: a statement of many rows takes several times as long to be made, under the lock.
        await connection.execute(insert(self._changes), rows)
        return last

    async def order(self, connection: AsyncConnection) -> int:
        """Give all changes that are committed by now their versions, and return the last one.

        Nobody else does before the transaction ends.
        """
        (row,) = await self._lock.within(connection, {})
        version, is_settled = row.version, row.is_settled
        while not is_settled:
            (row,) = await self._order.within(connection, {"after": version, "most": _AT_ONCE})
            is_settled, version = row.version < version + _AT_ONCE, row.version
        return int(version)

    async def settled(self, database: Database, query: Query, values: Mapping[str, Any]) -> list[Any]:
        """Return what a statement reads, exactly as it was at the version that it reads.

        Its first row says whether that is so, by `is_settled`. While changes are committed all the time, they are given
        their versions just before it is read. Raises CONTENTION.
        """
        rows = await database.rows(query, values)
        if rows[0].is_settled:
            return rows
        async with database.transaction() as connection:
            for _ in range(_TRIES):
                await self.order(connection)
                rows = await query.within(connection, values)
                if rows[0].is_settled:
                    return rows
        raise Aborted("CONTENTION", "too much is changing: try again", retry_after=timedelta(milliseconds=100))

    def epoch(self) -> Epoch:
        """Return what knows the epoch of the schema; it counts versions, and whether all changes have one."""
        counted = f"SELECT ARRAY[version, ({self.is_settled.compile()})::int] FROM {self._counter.fullname}"  # noqa: S608 - names
        return Epoch(str(self._counter.schema), counted=f"({counted})")

    async def after(self, connection: AsyncConnection, version: int, most: int) -> list[Change]:
        """Return the changes after a version, oldest first; those that were swept are missing at the start."""
        rows = select(self._changes).where(self._changes.c.version > version)
        found = await connection.execute(rows.order_by(self._changes.c.version).limit(most))
        return [self._change_of(row) for row in found]

    async def forget(
        self, connection: AsyncConnection, about: ColumnElement[bool], age: timedelta, **values: Any
    ) -> bool:
        """Let changes that are older than that say nothing but these values; False where there are younger ones."""
        await self.order(connection)
        old = update(self._changes).where(about, self._changes.c.create_time < func.clock_timestamp() - age)
        await connection.execute(old.values(**values))
        return not (await connection.execute(select(exists().where(about)))).scalar_one()

    async def sweep(self, connection: AsyncConnection, kept: timedelta) -> int:
        """Delete changes that are older than that, the newest one excepted; return how many."""
        old = self._changes.c.create_time < func.clock_timestamp() - kept
        newest = select(self._counter.c.version).scalar_subquery()
        return (await connection.execute(delete(self._changes).where(old, self._changes.c.version < newest))).rowcount


def _ordering(changes: str, counter: str, unordered: str, columns: Sequence[str]) -> tuple[Query, Query]:
    """Return the statements that lock the counter, and that give the oldest changes versions under that lock."""
    names = ", ".join(columns)
    # What was committed before it began is seen by it, or has its version.
    lock = f"SELECT version, NOT EXISTS (SELECT FROM {unordered}) AS is_settled FROM {counter} FOR UPDATE"  # noqa: S608 - names
    # The ids are in the order in which changes were left, and so in that of any two of which one waited for the other.
    order = f"""
        WITH oldest AS (SELECT id FROM {unordered} ORDER BY id LIMIT :most),
        taken AS (DELETE FROM {unordered} WHERE id IN (SELECT id FROM oldest) RETURNING id, {names}),
        placed AS (
            INSERT INTO {changes} (version, {names})
            SELECT :after + row_number() OVER (ORDER BY id), {names} FROM taken
        )
        UPDATE {counter} SET version = :after + (SELECT count(*) FROM taken) RETURNING version
    """  # noqa: S608 - names
    return Query(lock), Query(order)


class ChangeStore(Generic[Change]):
    """A log of changes, for those who follow it."""

    def __init__(self, database: Database, log: ChangeLog[Change]) -> None:
        self._database = database
        self._log = log
        self._epoch = log.epoch()

    async def head(self) -> Head:
        """Give all changes that are committed by now their versions; return that of the last one, and its epoch."""
        return await unbroken(self._head())

    async def after(self, version: int, most: int) -> list[Change]:
        """Return the changes after a version, oldest first; those that were swept are missing at the start."""
        return await unbroken(self._after(version, most))

    async def sweep(self, kept: timedelta) -> int:
        """Delete changes that are older than that, the newest one excepted; return how many."""
        return await unbroken(self._sweep(kept))

    async def _head(self) -> Head:
        seen = await self._epoch.glance(self._database)
        if not seen.counted[1]:
            async with self._database.transaction() as connection:
                await self._log.order(connection)
            # What has come since has no version yet, and is of after this was asked.
            seen = await self._epoch.glance(self._database)
        return Head(str(seen.epoch), seen.counted[0])

    async def _after(self, version: int, most: int) -> list[Change]:
        async with self._database.reading() as connection:
            return await self._log.after(connection, version, most)

    async def _sweep(self, kept: timedelta) -> int:
        async with self._database.transaction() as connection:
            return await self._log.sweep(connection, kept)
