"""Users who were deleted: nothing of theirs comes into being in rooms any more."""

from collections.abc import Mapping

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Uuid

from services.rooms.tables import fences
from services.runtime.contract.absent import users_not_found
from services.runtime.ids import UserUid


async def refuse_deleted(connection: AsyncConnection, users: Mapping[str, UserUid]) -> None:
    """Raise USER_NOT_FOUND for those who were deleted since users said that they exist.

    It is called when what is theirs was written: see services/runtime/data/writers.py.
    """
    found = select(fences.c.uid).where(fences.c.uid == func.any(list(users.values()), type_=ARRAY(Uuid)))
    deleted = set((await connection.execute(found)).scalars())
    if deleted:
        raise users_not_found(user_id for user_id, uid in users.items() if uid in deleted)
