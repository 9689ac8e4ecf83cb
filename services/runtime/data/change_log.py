"""The `changes` of a schema: commit-ordered, because versions are given under one row's lock.

That row is locked last in every transaction that has other locks, and only for as long as the commit takes. So the
order of versions is the order of commits, and whoever has seen `n` knows that `n + 1` is next.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, Protocol, TypeVar

from sqlalchemy import ColumnElement, Table, delete, exists, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.data.database import Database, unbroken
from services.runtime.data.epoch import Epoch


class Versioned(Protocol):
    """A change, with its place in the order of commits; 0 before it is recorded."""

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
    """A table of changes with `version` and `create_time`, its one-row counter, and how a change becomes a row."""

    def __init__(
        self,
        changes: Table,
        counter: Table,
        *,
        values_of: Callable[[Change], Mapping[str, Any]],
        change_of: Callable[[Any], Change],
    ) -> None:
        self._changes = changes
        self._counter = counter
        self._values_of = values_of
        self._change_of = change_of

    async def record(self, connection: AsyncConnection, made: Sequence[Change]) -> None:
        """Give each change its version, in the transaction of the changes themselves."""
        if not made:
            return
        moved = update(self._counter).values(version=self._counter.c.version + len(made))
        last = (await connection.execute(moved.returning(self._counter.c.version))).scalar_one()
        first = last - len(made) + 1
        rows = [{**self._values_of(change), "version": first + place} for place, change in enumerate(made)]
        # Row by row in one round trip: a statement of many rows takes several times as long to be made, under the lock.
        await connection.execute(insert(self._changes), rows)

    def epoch(self) -> Epoch:
        """Return what knows the epoch of the schema; it counts versions."""
        return Epoch(str(self._counter.schema), counted=f"(SELECT version FROM {self._counter.fullname})")  # noqa: S608 - a name

    async def after(self, connection: AsyncConnection, version: int, most: int) -> list[Change]:
        """Return the changes after a version, oldest first; those that were swept are missing at the start."""
        rows = select(self._changes).where(self._changes.c.version > version)
        found = await connection.execute(rows.order_by(self._changes.c.version).limit(most))
        return [self._change_of(row) for row in found]

    async def forget(
        self, connection: AsyncConnection, about: ColumnElement[bool], age: timedelta, **values: Any
    ) -> bool:
        """Let changes that are older than that say nothing but these values; False where there are younger ones."""
        old = update(self._changes).where(about, self._changes.c.create_time < func.clock_timestamp() - age)
        await connection.execute(old.values(**values))
        return not (await connection.execute(select(exists().where(about)))).scalar_one()

    async def sweep(self, connection: AsyncConnection, kept: timedelta) -> int:
        """Delete changes that are older than that, the newest one excepted; return how many."""
        old = self._changes.c.create_time < func.clock_timestamp() - kept
        newest = select(self._counter.c.version).scalar_subquery()
        return (await connection.execute(delete(self._changes).where(old, self._changes.c.version < newest))).rowcount


class ChangeStore(Generic[Change]):
    """A log of changes, for those who follow it."""

    def __init__(self, database: Database, log: ChangeLog[Change]) -> None:
        self._database = database
        self._log = log
        self._epoch = log.epoch()

    async def head(self) -> Head:
        """Return the version of the last change, and its epoch."""
        return await unbroken(self._head())

    async def after(self, version: int, most: int) -> list[Change]:
        """Return the changes after a version, oldest first; those that were swept are missing at the start."""
        return await unbroken(self._after(version, most))

    async def sweep(self, kept: timedelta) -> int:
        """Delete changes that are older than that, the newest one excepted; return how many."""
        return await unbroken(self._sweep(kept))

    async def _head(self) -> Head:
        seen = await self._epoch.glance(self._database)
        return Head(str(seen.epoch), seen.counted)

    async def _after(self, version: int, most: int) -> list[Change]:
        async with self._database.reading() as connection:
            return await self._log.after(connection, version, most)

    async def _sweep(self, kept: timedelta) -> int:
        async with self._database.transaction() as connection:
            return await self._log.sweep(connection, kept)
