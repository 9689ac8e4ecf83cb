"""The files of rooms and users that are deleted, and the fence that lets no other one come into being.

No room has the uid of a user, so one uid says whose files they are.
"""

from collections.abc import Sequence

from sqlalchemy import Text, Update, cast, delete, exists, select, update
from sqlalchemy.dialects.postgresql import insert

from services.files.model import File, FileState, FileUid
from services.files.store import count_usage
from services.files.tables import FILE_COLUMNS, fences, file_of, files, uploads, usage
from services.runtime.data.database import Database
from services.runtime.ids import NO_USER, RoomUid, UserId, UserUid

# What is written without a look at a row that the eraser locks.
UNLOCKED = [files.fullname]


class ErasureStore:
    """What is removed in PostgreSQL. Content goes before the row that knows of it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def fence(self, subject_uid: RoomUid | UserUid) -> None:
        """Let no file be created in a room, or for a user, any more."""
        async with self._database.transaction() as connection:
            await connection.execute(insert(fences).values(uid=subject_uid).on_conflict_do_nothing())

    async def some(self, subject_uid: RoomUid | UserUid, size: int) -> list[File]:
        """Return some files of a room or a user."""
        of_it = (files.c.room_uid == subject_uid) | (files.c.owner_uid == subject_uid)
        statement = select(*FILE_COLUMNS).where(of_it).limit(size)
        async with self._database.reading() as connection:
            return [file_of(row) for row in await connection.execute(statement)]

    async def anonymize(self, file: File, pseudonym: UserId) -> bool:
        """Make a file nobody's, if it was attached; return whether it was."""
        attached = update(files).where(files.c.uid == file.uid, files.c.attach_time.is_not(None))
        # The uid keeps the row from being taken for another one's repetition.
        nobodys = attached.values(
            owner_uid=NO_USER, owner_id=pseudonym, request_id=cast(files.c.uid, Text), content_hash=b""
        )
        return await self._has_changed(nobodys)

    async def condemn(self, file: File) -> bool:
        """Let nobody attach a file any more, if nobody has; return whether that is so."""
        free = update(files).where(files.c.uid == file.uid, files.c.attach_time.is_(None))
        return await self._has_changed(free.values(state=FileState.DELETING))

    async def _has_changed(self, change: Update) -> bool:
        async with self._database.transaction() as connection:
            return (await connection.execute(change)).rowcount > 0

    async def revoke_uploads(self, uid: FileUid) -> Sequence[str]:
        """Take from all uploads to a file the chance to finish, and return their keys."""
        revoked = update(uploads).where(uploads.c.file_uid == uid).values(is_revoked=True)
        async with self._database.transaction() as connection:
            return list((await connection.execute(revoked.returning(uploads.c.blob_key))).scalars())

    async def remove(self, file: File) -> None:
        """Remove a file and its revoked uploads, unless another upload has begun, or finished, since they were revoked.

        An upload begins under a lock of its file's row, and finishes by changing it.
        """
        async with self._database.transaction() as connection:
            mine = select(files.c.blob_key).where(files.c.uid == file.uid).with_for_update()
            row = (await connection.execute(mine)).one_or_none()
            is_open = exists().where(uploads.c.file_uid == file.uid, ~uploads.c.is_revoked)
            if (
                row is None
                or (row.blob_key or "") != file.blob_key
                or (await connection.execute(select(is_open))).scalar()
            ):
                return
            await connection.execute(delete(uploads).where(uploads.c.file_uid == file.uid))
            await connection.execute(delete(files).where(files.c.uid == file.uid))
            await count_usage(connection, file.owner_uid, -file.size_bytes)

    async def forget_usage(self, subject_uid: RoomUid | UserUid) -> None:
        """Forget what the files of a user who has none take up."""
        async with self._database.transaction() as connection:
            await connection.execute(delete(usage).where(usage.c.owner_uid == subject_uid))
