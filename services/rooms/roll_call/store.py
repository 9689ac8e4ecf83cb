"""Reads who is a member of anything, and notes who of them is no user."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert

from services.rooms.model import Change, ChangeKind
from services.rooms.recorded_changes import record
from services.rooms.tables import absent_users, memberships, roll_call
from services.runtime.data.database import Database
from services.runtime.ids import UserId, UserUid


@dataclass(frozen=True, slots=True)
class Member:
    """A user's id, and the uids with which it is a member somewhere: more than one if the id was created anew."""

    user_id: UserId
    uids: Sequence[UserUid]


class RollCallStore:
    """The store of the roll call."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def called_epoch(self) -> str | None:
        """Return the epoch of users whose roll was called last; None before the first one."""
        async with self._database.reading() as connection:
            return (await connection.execute(select(roll_call.c.users_epoch))).scalar_one_or_none()

    async def note_called(self, epoch: str) -> None:
        """Note that the roll of an epoch of users was called."""
        async with self._database.transaction() as connection:
            noted = insert(roll_call).values(only_row=True, users_epoch=epoch)
            await connection.execute(
                noted.on_conflict_do_update(index_elements=["only_row"], set_={"users_epoch": epoch})
            )

    async def page(self, after: str, size: int) -> list[Member]:
        """Return members by their ids."""
        uids = func.array_agg(memberships.c.user_uid.distinct())
        statement = select(memberships.c.user_id, uids.label("uids")).where(memberships.c.user_id > after)
        statement = statement.group_by(memberships.c.user_id).order_by(memberships.c.user_id).limit(size)
        async with self._database.reading() as connection:
            return [Member(row.user_id, row.uids) for row in await connection.execute(statement)]

    async def mark(self, gone: Sequence[tuple[UserUid, UserId]], there: Sequence[tuple[UserUid, UserId]]) -> int:
        """Note who is no user and who is one, and return of how many that is news.

        It is recorded as a change of their roles, which makes what was kept about them void in every release.
        """
        ids = dict((*gone, *there))
        async with self._database.transaction() as connection:
            news: list[UserUid] = []
            if gone:
                noted = insert(absent_users).on_conflict_do_nothing().returning(absent_users.c.user_uid)
                rows = noted.values([{"user_uid": uid} for uid, _ in sorted(gone)])
                news += (await connection.execute(rows)).scalars()
            back = delete(absent_users).where(absent_users.c.user_uid.in_([uid for uid, _ in there]))
            news += (await connection.execute(back.returning(absent_users.c.user_uid))).scalars()
            changes = [
                Change(version=0, kind=ChangeKind.ROLE_ASSIGNED, room_uid=None, user_uid=uid, user_id=ids[uid])
                for uid in news
            ]
            await record(connection, changes)
        return len(news)
