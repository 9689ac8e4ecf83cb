"""Users who were deleted: nothing of theirs comes into being in rooms any more."""

from collections.abc import Mapping

from sqlalchemy import bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Uuid

from services.rooms.tables import fences
from services.runtime.contract.absent import users_not_found
from services.runtime.data.query import Query
from services.runtime.ids import UserUid

_DELETED = Query(select(fences.c.uid).where(fences.c.uid == func.any(bindparam("uids", type_=ARRAY(Uuid)))))


async def refuse_deleted(connection: AsyncConnection, users: Mapping[str, UserUid]) -> None:
    """Raise USER_NOT_FOUND for those who were deleted since users said that they exist.

    It is called when what is theirs was written: see services/runtime/data/writers.py.
    """
    deleted = {row.uid for row in await _DELETED.within(connection, {"uids": list(users.values())})}
    if deleted:
        raise users_not_found(user_id for user_id, uid in users.items() if uid in deleted)
