"""Users in PostgreSQL. One public method is one transaction."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, DateTime, Text, bindparam, collate, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.data.columns import columns_of, fields_of, values_of
from services.runtime.data.database import Database
from services.runtime.data.differences import differs
from services.runtime.data.query import Query
from services.runtime.erasure.store import DeletionStore
from services.runtime.ids import NOBODY, UserId, UserUid
from services.users import recorded_changes
from services.users.model import Change, ChangeKind, Draft, PageStart, SearchStart, User
from services.users.tables import creation_clock, users

_COLUMNS = columns_of(users, User)
_NAME_KEY = collate(func.users.name_key(users.c.name), "C")
_WITH_KEYS = select(*_COLUMNS, _NAME_KEY.label("name_key"))
_KEY_OF = select(func.users.name_key(bindparam("text", type_=Text)))
_TICK = timedelta(microseconds=1)
_FIND = select(*_COLUMNS).where(users.c.id == func.any(bindparam("ids", type_=ARRAY(Text))))
_FOUND = Query(_FIND)
_FIRST_TIME = datetime.min.replace(tzinfo=UTC)
_PAGE = Query(
    select(*_COLUMNS)
    .where(
        tuple_(users.c.create_time, users.c.id)
        > tuple_(bindparam("time", type_=DateTime(timezone=True)), bindparam("user_id", type_=Text))
    )
    .order_by(users.c.create_time, users.c.id)
    .limit(bindparam("size", type_=BigInteger))
)
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
        return [_user(row) for row in await self._database.rows(_FOUND, {"ids": list(user_ids)})]

    async def page(self, start: PageStart, size: int) -> list[User]:
        """Return users by time of creation and id."""
        # Of the two bounds the one that is farther on. No id is empty.
        earliest = (start.min_create_time or _FIRST_TIME, "")
        time, user_id = max(start.after or earliest, earliest)
        rows = await self._database.rows(_PAGE, {"time": time, "user_id": user_id, "size": size})
        return [_user(row) for row in rows]

    async def search(self, prefix: str, start: SearchStart, size: int) -> tuple[list[User], SearchStart | None]:
        """Return users whose name or id begins so, and where the next page starts, unless nothing comes after it.

        It looks at a page of them at the most, so of those found by id it may return fewer.
        """
        async with self._database.reading() as connection:
            key = (await connection.execute(_KEY_OF, {"text": prefix})).scalar_one()
            if start.name_key is None:
                return await _found_by_id(connection, prefix, key, start.user_id, size)
            named, after = await _found_by_name(connection, key, start, size)
            if after is not None:
                return named, after
            others, after = await _found_by_id(connection, prefix, key, NOBODY, size - len(named))
        return [*named, *others], after

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


# The statements say where to begin and not where to end: of a range that it takes for small, the planner would read and
# sort the whole.
async def _found_by_name(
    connection: AsyncConnection, key: str, start: SearchStart, size: int
) -> tuple[list[User], SearchStart | None]:
    place = tuple_(_NAME_KEY, users.c.id) > tuple_(*max((key, ""), (start.name_key or "", start.user_id)))
    statement = _WITH_KEYS.where(place).order_by(_NAME_KEY, users.c.id).limit(size + 1)
    rows = [row for row in await connection.execute(statement) if row.name_key.startswith(key)]
    after = SearchStart(rows[size - 1].id, rows[size - 1].name_key) if len(rows) > size else None
    return [_user(row) for row in rows[:size]], after


async def _found_by_id(
    connection: AsyncConnection, prefix: str, key: str, after_id: UserId, size: int
) -> tuple[list[User], SearchStart | None]:
    """Look at the next ones whose id begins so, and leave out those whose name does, too."""
    statement = _WITH_KEYS.where(users.c.id >= prefix, users.c.id > after_id).order_by(users.c.id).limit(size + 1)
    rows = [row for row in await connection.execute(statement) if row.id.startswith(prefix)]
    after = SearchStart(rows[size - 1].id if size else after_id, None) if len(rows) > size else None
    return [_user(row) for row in rows[:size] if not row.name_key.startswith(key)], after


def _rows(drafts: Sequence[tuple[UserUid, Draft]], time: datetime) -> list[dict[str, Any]]:
    return [
        {**values_of(draft), "uid": uid, "create_time": time, "update_time": time}
        # In the order of ids: the release before creates without the lock, and two batches that share ids must not
        # deadlock.
        for uid, draft in sorted(drafts, key=lambda pair: pair[1].id)
    ]


def _user(row: Any) -> User:
    return User(**fields_of(row, User))
