"""Users who are deleted: in one transaction the user is gone from users, and the deletion noted."""

from datetime import timedelta

from sqlalchemy import Text, bindparam, delete, select

from services.runtime.data.database import Database
from services.runtime.erasure.deletions import LEASE
from services.runtime.erasure.model import Deletion, DeletionId, PseudonymKey
from services.runtime.erasure.store import DeletionStore
from services.runtime.ids import NO_USER
from services.users import recorded_changes
from services.users.model import Change, ChangeKind
from services.users.tables import changes, users

_LOCK = select(users.c.uid).where(users.c.id == bindparam("user_id", type_=Text)).with_for_update()


class UserDeletionStore:
    """Removes what users has of a user."""

    def __init__(self, database: Database, deletions: DeletionStore) -> None:
        self._database = database
        self._deletions = deletions

    async def delete(self, user_id: str, pseudonyms: PseudonymKey | None) -> DeletionId | None:
        """Remove a user, with their presence, and begin their deletion elsewhere; None when there is no such user.

        With `pseudonyms`, their messages stay.
        """
        async with self._database.transaction() as connection:
            uid = (await connection.execute(_LOCK, {"user_id": user_id})).scalar_one_or_none()
            if uid is None:
                return None
            deletion_id = await self._deletions.begin(
                connection, uid, user_id, done=(), lease=LEASE, pseudonyms=pseudonyms
            )
            await connection.execute(delete(users).where(users.c.uid == uid))
            change = Change(version=0, kind=ChangeKind.USER_DELETED, user_uid=uid, user_id=user_id)
            await recorded_changes.record(connection, [change])
        return deletion_id

    async def forget_changes(self, deletion: Deletion, age: timedelta) -> bool:
        """Forget whom changes were about that are older than that; False where there are younger ones.

        Whoever has not read them by then can't tell what they were, and begins anew.
        """
        nothing = {"kind": ChangeKind.FORGOTTEN, "user_uid": NO_USER, "user_id": ""}
        async with self._database.transaction() as connection:
            return await recorded_changes.change_log.forget(
                connection, changes.c.user_uid == deletion.subject_uid, age, **nothing
            )
