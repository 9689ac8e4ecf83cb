"""What files has of a user, in pages; content is not here."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from services.files.model import File, FileUid
from services.files.tables import FILE_COLUMNS, file_of, files, uploads, usage
from services.runtime.data.database import Database
from services.runtime.ids import UserUid

# Few, because their content is read before the next page: what is deleted meanwhile is not in that.
_AT_ONCE = 20


@dataclass(frozen=True, slots=True)
class OwnFile:
    """A user's file, and the request that has created it."""

    file: File
    request_id: str


@dataclass(frozen=True, slots=True)
class OpenUpload:
    """An upload to a file of a user's that is under way."""

    blob_key: str
    file_uid: FileUid
    start_time: datetime


class UserExportStore:
    """What there is of users. Pages begin after a key, and have a bound of their own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def used_bytes(self, user_uid: UserUid) -> int | None:
        """Return how much a user's files take up; None for one who never had any."""
        rows = await self._read(select(usage.c.bytes).where(usage.c.owner_uid == user_uid))
        return next((row.bytes for row in rows), None)

    async def files(self, user_uid: UserUid, after: str) -> list[OwnFile]:
        """Return a page of a user's files by the requests that have created them, which is what an index has."""
        mine = select(*FILE_COLUMNS, files.c.request_id).where(
            files.c.owner_uid == user_uid, files.c.request_id > after
        )
        rows = await self._read(mine.order_by(files.c.request_id).limit(_AT_ONCE))
        return [OwnFile(file_of(row), row.request_id) for row in rows]

    async def uploads(self, user_uid: UserUid, after: str) -> list[OpenUpload]:
        """Return a page of the uploads to a user's files by the keys of their blobs."""
        mine = (
            select(uploads.c.blob_key, uploads.c.file_uid, uploads.c.start_time)
            .join(files, files.c.uid == uploads.c.file_uid)
            .where(files.c.owner_uid == user_uid, ~uploads.c.is_revoked, uploads.c.blob_key > after)
        )
        rows = await self._read(mine.order_by(uploads.c.blob_key).limit(_AT_ONCE))
        return [OpenUpload(row.blob_key, row.file_uid, row.start_time) for row in rows]

    async def _read(self, statement: Any) -> Any:
        async with self._database.reading() as connection:
            return (await connection.execute(statement)).all()
