"""What the reconciler compares with the content that is there: the keys, the files, and what owners' files take up."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import ARRAY

from services.files.model import File
from services.files.store import count_usage
from services.files.tables import FILE_COLUMNS, file_of, files, uploads, usage
from services.runtime.data.database import Database
from services.runtime.ids import UserUid


class ReconcilerStore:
    """The same tables, read as a whole."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def known_keys(self, keys: Sequence[str]) -> set[str]:
        """Return those of these keys that a file or an upload has."""
        wanted = func.any(list(keys), type_=ARRAY(files.c.blob_key.type))
        async with self._database.reading() as connection:
            of_files = await connection.execute(select(files.c.blob_key).where(files.c.blob_key == wanted))
            found = set(of_files.scalars())
            of_uploads = await connection.execute(select(uploads.c.blob_key).where(uploads.c.blob_key == wanted))
            return found | set(of_uploads.scalars())

    async def with_content(self, after: UUID, size: int) -> list[File]:
        """Return files that have content, by their uids."""
        statement = select(*FILE_COLUMNS).where(files.c.blob_key.is_not(None), files.c.uid > after)
        async with self._database.reading() as connection:
            return [file_of(row) for row in await connection.execute(statement.order_by(files.c.uid).limit(size))]

    async def wrong_usage(self) -> dict[UserUid, tuple[int, int]]:
        """Return, by owner, what is counted and what the files add up to, where the two differ."""
        summed = select(files.c.owner_uid, func.sum(files.c.size_bytes).label("bytes")).group_by(files.c.owner_uid)
        sums = summed.subquery()
        counted, real = func.coalesce(usage.c.bytes, 0), func.coalesce(sums.c.bytes, 0)
        joined = usage.join(sums, sums.c.owner_uid == usage.c.owner_uid, full=True)
        owner = func.coalesce(usage.c.owner_uid, sums.c.owner_uid)
        statement = select(owner, counted, real).select_from(joined).where(counted != real)
        async with self._database.reading() as connection:
            return {row[0]: (int(row[1]), int(row[2])) for row in await connection.execute(statement)}

    async def correct_usage(self, owner_uid: UserUid) -> None:
        """Count an owner's files anew."""
        async with self._database.transaction() as connection:
            await count_usage(connection, owner_uid, 0)
            real = select(func.coalesce(func.sum(files.c.size_bytes), 0)).where(files.c.owner_uid == owner_uid)
            corrected = update(usage).where(usage.c.owner_uid == owner_uid)
            await connection.execute(corrected.values(bytes=real.scalar_subquery()))
