"""Users in PostgreSQL. One public method is one transaction."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Text, bindparam, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import ARRAY, insert

from services.runtime.data.columns import columns_of, fields_of, values_of
from services.runtime.data.database import Database
from services.runtime.data.differences import differs
from services.runtime.erasure.store import DeletionStore
from services.runtime.ids import UserUid
from services.users import recorded_changes
from services.users.model import Change, ChangeKind, Draft, PageStart, User
from services.users.tables import creation_clock, users

_COLUMNS = columns_of(users, User)
_TICK = timedelta(microseconds=1)
_FIND = select(*_COLUMNS).where(users.c.id == func.any(bindparam("ids", type_=ARRAY(Text))))
_NEXT_TIME = (
    update(creation_clock)
    .values(last_time=func.greatest(creation_clock.c.last_time + _TICK, func.clock_timestamp()))
    .returning(creation_clock.c.last_time)
)


class UserStore:
    """The table of users."""

    def __init__(self, database: Database, deletions: DeletionStore) -> None:
        self._database = database
        self._deletions = deletions

    async def insert(self, drafts: Sequence[tuple[UserUid, Draft]]) -> dict[str, User]:
        """Insert users, all or none; those whose ids were taken are missing in the answer, and then none is stored.

        Their time of creation is given under a lock that is held until the commit. So whoever is committed later was
        created later, and who pages by that time passes nobody over. Raises BEING_DELETED.
        """
        async with self._database.transaction() as connection:
            time = (await connection.execute(_NEXT_TIME)).scalar_one()
            values = insert(users).values(_rows(drafts, time))
            statement = values.on_conflict_do_nothing(index_elements=["id"]).returning(*_COLUMNS)
            created = {row.id: _user(row) for row in await connection.execute(statement)}
            if len(created) < len(drafts):
                await connection.rollback()
            else:
                await self._deletions.refuse_taken(connection, list(created), "user_id")
        return created

    async def insert_past(self, given: Sequence[User]) -> dict[str, User]:
        """Insert users with the times that they have, where their ids are free; return, by id, those who were there.

        Who pages by time of creation may have passed theirs by. Raises BEING_DELETED, and then none is stored.
        """
        # In the order of ids, as everybody who creates.
        values = [values_of(user) for user in sorted(given, key=lambda user: user.id)]
        statement = insert(users).values(values).on_conflict_do_nothing(index_elements=["id"]).returning(users.c.id)
        async with self._database.transaction() as connection:
            made = set((await connection.execute(statement)).scalars())
            await self._deletions.refuse_taken(connection, list(made), "user_id")
            others = [user.id for user in given if user.id not in made]
            found = await connection.execute(_FIND, {"ids": others}) if others else ()
            return {row.id: _user(row) for row in found}

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

    async def update(self, user_id: str, values: Mapping[str, Any]) -> User | None:
        """Change columns of a user, if they are not so already; None when there is no such user."""
        # Later than the one before, so that of two copies it tells the newer one.
        later = func.greatest(users.c.update_time + _TICK, func.clock_timestamp())
        moved = update(users).where(users.c.id == user_id, differs(users, values)).values(**values, update_time=later)
        async with self._database.transaction() as connection:
            row = (await connection.execute(moved.returning(*_COLUMNS))).one_or_none()
            if row is None:
                same = (await connection.execute(_FIND, {"ids": [user_id]})).one_or_none()
                return _user(same) if same is not None else None
            await recorded_changes.record(
                connection, [Change(version=0, kind=ChangeKind.USER_UPDATED, user_uid=row.uid, user_id=row.id)]
            )
        return _user(row)


def _rows(drafts: Sequence[tuple[UserUid, Draft]], time: datetime) -> list[dict[str, Any]]:
    return [
        {**values_of(draft), "uid": uid, "create_time": time, "update_time": time}
        # In the order of ids: the release before creates without the lock, and two batches that share ids must not
        # deadlock.
        for uid, draft in sorted(drafts, key=lambda pair: pair[1].id)
    ]


def _user(row: Any) -> User:
    return User(**fields_of(row, User))
