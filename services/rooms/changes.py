"""The changes of memberships in PostgreSQL: commit-ordered, because versions are given under one row's lock.

That row is locked last in every transaction that has other locks, and only for as long as the commit takes.
"""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.rooms.model import Change, ChangeKind
from services.rooms.tables import change_counter, changes
from services.runtime.database import Database


async def record(connection: AsyncConnection, kind: ChangeKind, room_uid: UUID, user_uids: Sequence[UUID]) -> None:
    """Give each change its version, in the transaction of the changes themselves."""
    if not user_uids:
        return
    moved = update(change_counter).values(version=change_counter.c.version + len(user_uids))
    last = (await connection.execute(moved.returning(change_counter.c.version))).scalar_one()
    rows = [
        {"version": version, "kind": kind, "room_uid": room_uid, "user_uid": user_uid}
        for version, user_uid in enumerate(user_uids, start=last - len(user_uids) + 1)
    ]
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
        statement = (
            select(changes.c.version, changes.c.kind, changes.c.room_uid, changes.c.user_uid)
            .where(changes.c.version > version)
            .order_by(changes.c.version)
            .limit(most)
        )
        async with self._database.reading() as connection:
            return [
                Change(row.version, ChangeKind(row.kind), row.room_uid, row.user_uid)
                for row in await connection.execute(statement)
            ]

    async def sweep(self, kept: timedelta) -> int:
        """Delete changes that are older than that, the newest one excepted; return how many."""
        old = changes.c.create_time < func.clock_timestamp() - kept
        newest = select(change_counter.c.version).scalar_subquery()
        async with self._database.transaction() as connection:
            return (await connection.execute(delete(changes).where(old, changes.c.version < newest))).rowcount
