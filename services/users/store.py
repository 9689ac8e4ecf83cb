"""Users in PostgreSQL. One public method is one transaction."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Column,
    DateTime,
    MetaData,
    Table,
    Text,
    Uuid,
    bindparam,
    func,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, insert

from services.runtime.database import Database
from services.users.model import Draft, PageStart, User

metadata = MetaData(schema="users")
users = Table(
    "users",
    metadata,
    Column("uid", Uuid, primary_key=True),
    Column("id", Text(collation="C"), nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("avatar_url", Text, nullable=False),
    Column("custom_data", JSONB(none_as_null=True)),
    Column(
        "create_time",
        DateTime(timezone=True),
        nullable=False,
        server_default=func.clock_timestamp(),
    ),
    Column(
        "update_time",
        DateTime(timezone=True),
        nullable=False,
        server_default=func.clock_timestamp(),
    ),
)
_COLUMNS = (
    users.c.uid,
    users.c.id,
    users.c.name,
    users.c.avatar_url,
    users.c.custom_data,
    users.c.create_time,
    users.c.update_time,
)
_FIND = select(*_COLUMNS).where(users.c.id == func.any(bindparam("ids", type_=ARRAY(Text))))


class UserStore:
    """The table of users."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def insert(self, drafts: Sequence[tuple[UUID, Draft]]) -> dict[str, User]:
        """Insert users, all or none; those whose ids were taken are missing in the answer, and then none is stored."""
        rows = [
            {
                "uid": uid,
                "id": draft.id,
                "name": draft.name,
                "avatar_url": draft.avatar_url,
                "custom_data": draft.custom_data,
                # One moment for both, which two calls of clock_timestamp() are not.
                "create_time": func.statement_timestamp(),
                "update_time": func.statement_timestamp(),
            }
            # In the order of ids, so that two batches that share ids wait for one another instead of deadlocking.
            for uid, draft in sorted(drafts, key=lambda pair: pair[1].id)
        ]
        statement = insert(users).values(rows).on_conflict_do_nothing(index_elements=["id"]).returning(*_COLUMNS)
        async with self._database.transaction() as connection:
            created = {row.id: _user(row) for row in await connection.execute(statement)}
            if len(created) < len(rows):
                await connection.rollback()
        return created

    async def find(self, user_ids: Sequence[str]) -> list[User]:
        """Return the users that exist, in no order."""
        async with self._database.reading() as connection:
            return [_user(row) for row in await connection.execute(_FIND, {"ids": list(user_ids)})]

    async def page(self, start: PageStart, size: int) -> list[User]:
        """Return users by time of creation and id."""
        statement = select(*_COLUMNS).order_by(users.c.create_time, users.c.id).limit(size)
        if start.min_create_time is not None:
            statement = statement.where(users.c.create_time >= start.min_create_time)
        if start.after is not None:
            statement = statement.where(tuple_(users.c.create_time, users.c.id) > tuple_(*start.after))
        async with self._database.reading() as connection:
            return [_user(row) for row in await connection.execute(statement)]

    async def update(self, user_id: str, changes: Mapping[str, Any]) -> User | None:
        """Change columns of a user; None when there is no such user."""
        statement = (
            update(users)
            .where(users.c.id == user_id)
            .values(
                **changes,
                update_time=func.greatest(users.c.update_time, func.clock_timestamp()),
            )
            .returning(*_COLUMNS)
        )
        async with self._database.transaction() as connection:
            row = (await connection.execute(statement)).one_or_none()
        return _user(row) if row is not None else None


def _user(row: Any) -> User:
    return User(
        row.uid,
        row.id,
        row.name,
        row.avatar_url,
        row.custom_data,
        row.create_time,
        row.update_time,
    )
