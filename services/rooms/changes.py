"""The changes of access in PostgreSQL: commit-ordered, because versions are given under one row's lock.

That row is locked last in every transaction that has other locks, and only for as long as the commit takes.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.rooms.model import Change, ChangeKind, RoleScope
from services.rooms.tables import change_counter, changes
from services.runtime.database import Database

_COLUMNS = (
    changes.c.version,
    changes.c.kind,
    changes.c.room_uid,
    changes.c.user_uid,
    changes.c.user_id,
    changes.c.role_scope,
    changes.c.role_name,
)


async def record(connection: AsyncConnection, made: Sequence[Change]) -> None:
    """Give each change its version, in the transaction of the changes themselves."""
    if not made:
        return
    moved = update(change_counter).values(version=change_counter.c.version + len(made))
    last = (await connection.execute(moved.returning(change_counter.c.version))).scalar_one()
    rows = [_values(version, change) for version, change in enumerate(made, start=last - len(made) + 1)]
    await connection.execute(insert(changes).values(rows))


class ChangeStore:
    """The table of changes, for those who follow it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def version(self) -> int:
        """Return the version of the last change."""
        async with self._database.reading() as connection:
            return int((await connection.execute(select(change_counter.c.version))).scalar_one())

    async def after(self, version: int, most: int) -> list[Change]:
        """Return the changes after a version, oldest first; those that were swept are missing at the start."""
        statement = select(*_COLUMNS).where(changes.c.version > version).order_by(changes.c.version).limit(most)
        async with self._database.reading() as connection:
            return [_change(row) for row in await connection.execute(statement)]

    async def sweep(self, kept: timedelta) -> int:
        """Delete changes that are older than that, the newest one excepted; return how many."""
        old = changes.c.create_time < func.clock_timestamp() - kept
        newest = select(change_counter.c.version).scalar_subquery()
        async with self._database.transaction() as connection:
            return (await connection.execute(delete(changes).where(old, changes.c.version < newest))).rowcount


def _values(version: int, change: Change) -> dict[str, Any]:
    scope, name = change.role or (None, None)
    return {
        "version": version,
        "kind": change.kind,
        "room_uid": change.room_uid,
        "user_uid": change.user_uid,
        "user_id": change.user_id,
        "role_scope": scope,
        "role_name": name,
    }


def _change(row: Any) -> Change:
    kind = ChangeKind(row.kind)
    role = (RoleScope(row.role_scope), row.role_name) if kind is ChangeKind.ROLE_CHANGED else None
    return Change(row.version, kind, row.room_uid, row.user_uid, row.user_id, role)
