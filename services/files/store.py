"""Files and their uploads in PostgreSQL. Every blob has a row here: that of its file, or that of its upload.

All times are the database's, so that a replica whose clock is wrong ends nobody's upload and removes nobody's file.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import Select, Text, Uuid, delete, exists, func, literal, select, tuple_, update
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.files.model import Draft, File, FileState, FileUid, PageStart
from services.files.refusals import not_found
from services.files.tables import FILE_COLUMNS, fences, file_of, files, now, uploads, usage
from services.runtime.contract.absent import room_deleted, user_deleted
from services.runtime.contract.errors import AlreadyExists, ChatkitError, ResourceExhausted, Violation
from services.runtime.data.columns import values_of
from services.runtime.data.database import Database
from services.runtime.ids import RoomUid, UserUid


class FileStore:
    """The files, their uploads, and what each owner's files take up."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def now(self) -> datetime:
        """Return the database's time."""
        async with self._database.reading() as connection:
            return cast("datetime", (await connection.execute(select(now))).scalar_one())

    async def create(self, draft: Draft, check_after: timedelta, most_bytes: int) -> File:
        """Create a file and count its size for its owner; repeated with the same request id it answers the file.

        Raises QUOTA_EXCEEDED when the owner would have more than `most_bytes`, ROOM_DELETED and USER_DELETED.
        """
        async with self._database.transaction() as connection:
            # First, because its row lock makes the creations of one owner wait for one another.
            used = await count_usage(connection, draft.owner_uid, draft.size_bytes)
            row = (await connection.execute(_insertion(draft, check_after))).one_or_none()
            if row is None:
                # Nothing is kept of what was counted: the transaction is not committed.
                return await self._made_before(connection, draft)
            if used > most_bytes:
                raise too_much_stored(most_bytes, used)
            return file_of(row)

    async def find(self, uid: FileUid) -> File | None:
        """Return a file, or None."""
        async with self._database.reading() as connection:
            row = (await connection.execute(select(*FILE_COLUMNS).where(files.c.uid == uid))).one_or_none()
        return file_of(row) if row is not None else None

    async def find_these(self, uids: Sequence[FileUid]) -> list[File]:
        """Return those of these files that are there, in no order."""
        async with self._database.reading() as connection:
            return [file_of(row) for row in await connection.execute(_these(uids))]

    async def page(self, room_uid: RoomUid, own: UserUid | None, start: PageStart | None, size: int) -> list[File]:
        """Return a room's files that are ready, the newest first; with `own` those that were attached, and that user's.

        Those that are being collected count as ready as long as they may come back.
        """
        statement = select(*FILE_COLUMNS).where(files.c.room_uid == room_uid, files.c.blob_key.is_not(None))
        if own is not None:
            statement = statement.where(files.c.attach_time.is_not(None) | (files.c.owner_uid == own))
        if start is not None:
            statement = statement.where(tuple_(files.c.create_time, files.c.uid) < (start.create_time, start.uid))
        statement = statement.order_by(files.c.create_time.desc(), files.c.uid.desc()).limit(size)
        async with self._database.reading() as connection:
            return [file_of(row) for row in await connection.execute(statement)]

    async def begin_upload(self, key: str, uid: FileUid) -> None:
        """Note where content is about to be written. Raises FILE_NOT_FOUND."""
        async with self._database.transaction() as connection:
            # Locked, so that whoever removes the file has removed it before, or finds the upload.
            row = select(literal(key, Text), files.c.uid, now, literal(value=False)).where(files.c.uid == uid)
            begun = insert(uploads).from_select(
                ["blob_key", "file_uid", "start_time", "is_revoked"], row.with_for_update(read=True, key_share=True)
            )
            if (await connection.execute(begun.returning(uploads.c.blob_key))).one_or_none() is None:
                raise not_found(str(uid))

    async def finish_upload(self, key: str, uid: FileUid, sha256: bytes, check_after: timedelta) -> File | None:
        """Give a file its content; None when it has some already, or the upload was given up meanwhile."""
        async with self._database.transaction() as connection:
            mine = delete(uploads).where(uploads.c.blob_key == key, ~uploads.c.is_revoked)
            ended = await connection.execute(mine.returning(uploads.c.blob_key))
            if ended.one_or_none() is None:
                return None
            ready = (
                update(files)
                .where(files.c.uid == uid, files.c.state == FileState.PENDING)
                .values(state=FileState.READY, blob_key=key, sha256=sha256, check_time=now + check_after)
                .returning(*FILE_COLUMNS)
            )
            row = (await connection.execute(ready)).one_or_none()
            if row is None:
                # The upload's row stays until its blob has gone.
                await connection.rollback()
                return None
            return file_of(row)

    async def end_upload(self, key: str) -> None:
        """Forget an upload whose blob has gone."""
        async with self._database.transaction() as connection:
            await connection.execute(delete(uploads).where(uploads.c.blob_key == key))

    async def revoke_stale(self, age: timedelta, size: int) -> list[str]:
        """Take from uploads that began so long ago the chance to finish, and return their keys."""
        stale = select(uploads.c.blob_key).where(uploads.c.start_time < now - age).limit(size)
        stale = stale.with_for_update(skip_locked=True)
        revoked = update(uploads).where(uploads.c.blob_key.in_(stale)).values(is_revoked=True)
        async with self._database.transaction() as connection:
            return list((await connection.execute(revoked.returning(uploads.c.blob_key))).scalars())

    async def attach(
        self, uids: Sequence[FileUid], judge: Callable[[Sequence[File]], None], check_after: timedelta
    ) -> list[File]:
        """Note that messages may refer to files from now on, unless `judge` raises about them as they are."""
        async with self._database.transaction() as connection:
            found = [file_of(row) for row in await connection.execute(_these(uids).with_for_update())]
            judge(found)
            moved = update(files).where(files.c.uid == func.any(list(uids), type_=ARRAY(Uuid)))
            await connection.execute(moved.values(attach_time=now, check_time=now + check_after))
        return found

    async def claim_due(self, lease: timedelta, size: int) -> list[File]:
        """Return files that the collector must look at, and keep them from other replicas' for a while."""
        due = select(files.c.uid).where(files.c.check_time <= now).order_by(files.c.check_time).limit(size)
        claimed = (
            update(files)
            .where(files.c.uid.in_(due.with_for_update(skip_locked=True)))
            .values(check_time=now + lease)
            .returning(*FILE_COLUMNS)
        )
        async with self._database.transaction() as connection:
            return [file_of(row) for row in await connection.execute(claimed)]

    async def keep(self, uids: Sequence[FileUid], check_after: timedelta) -> None:
        """Let files be, or be again, until the collector looks at them next."""
        kept = (
            update(files)
            .where(files.c.uid == func.any(list(uids), type_=ARRAY(Uuid)), files.c.blob_key.is_not(None))
            .values(state=FileState.READY, check_time=now + check_after)
        )
        async with self._database.transaction() as connection:
            await connection.execute(kept)

    async def condemn(self, file: File, lease: timedelta, unattached_for: timedelta) -> File | None:
        """Let nobody attach a file any more; None if it is gone, was attached too recently, or has got its content."""
        condemned = (
            update(files)
            .where(files.c.uid == file.uid, files.c.blob_key.is_not_distinct_from(file.blob_key or None))
            .where(files.c.attach_time.is_(None) | (files.c.attach_time < now - unattached_for))
            .values(state=FileState.DELETING, check_time=now + lease)
            .returning(*FILE_COLUMNS)
        )
        async with self._database.transaction() as connection:
            row = (await connection.execute(condemned)).one_or_none()
        return file_of(row) if row is not None else None

    async def remove(self, condemned: File) -> bool:
        """Remove a condemned file, unless it has gone or was attached since; its blob has an upload's row from then on.

        Return whether it was removed. Whether it is condemned still does not matter: who has let it be meanwhile may
        have done so without knowing whether it is in use.
        """
        gone = delete(files).where(
            files.c.uid == condemned.uid,
            files.c.blob_key.is_not_distinct_from(condemned.blob_key or None),
            files.c.attach_time.is_not_distinct_from(condemned.attach_time),
        )
        async with self._database.transaction() as connection:
            row = (await connection.execute(gone.returning(files.c.owner_uid, files.c.size_bytes))).one_or_none()
            if row is None:
                return False
            if condemned.has_content:
                left = insert(uploads).values(
                    blob_key=condemned.blob_key, file_uid=condemned.uid, start_time=now, is_revoked=True
                )
                await connection.execute(left)
            less = update(usage).where(usage.c.owner_uid == row.owner_uid)
            await connection.execute(less.values(bytes=usage.c.bytes - row.size_bytes))
        return True

    async def with_content_among(self, uids: Collection[FileUid]) -> set[FileUid]:
        """Return those of these files that have content."""
        found = select(files.c.uid).where(
            files.c.uid == func.any(list(uids), type_=ARRAY(Uuid)), files.c.blob_key.is_not(None)
        )
        async with self._database.reading() as connection:
            return set((await connection.execute(found)).scalars())

    async def _made_before(self, connection: AsyncConnection, draft: Draft) -> File:
        made = select(*FILE_COLUMNS, files.c.content_hash).where(
            files.c.owner_uid == draft.owner_uid, files.c.request_id == draft.request_id
        )
        row = (await connection.execute(made)).one_or_none()
        await connection.rollback()
        if row is None:
            raise await _deleted(connection, draft)
        if row.content_hash not in draft.content_hashes:
            raise AlreadyExists(
                "REQUEST_ID_REUSED",
                "the request id was used for another file",
                metadata={"request_id": draft.request_id},
            )
        return file_of(row)


async def count_usage(connection: AsyncConnection, owner_uid: UserUid, size_bytes: int) -> int:
    """Count this for an owner too, and return what is counted now; the row stays locked until the commit."""
    counted = insert(usage).values(owner_uid=owner_uid, bytes=size_bytes)
    counted = counted.on_conflict_do_update(
        index_elements=["owner_uid"], set_={"bytes": usage.c.bytes + counted.excluded.bytes}
    )
    return int((await connection.execute(counted.returning(usage.c.bytes))).scalar_one())


async def _deleted(connection: AsyncConnection, draft: Draft) -> ChatkitError:
    found = select(exists().where(fences.c.uid == draft.owner_uid))
    is_user = (await connection.execute(found)).scalar_one()
    return user_deleted() if is_user else room_deleted(draft.room_id)


def too_much_stored(most: int, actual: int) -> ResourceExhausted:
    """Return the error for an owner whose files would take up more than they may."""
    description = f"a user's files have at most {most} bytes together, and this would make {actual}"
    return ResourceExhausted(
        "QUOTA_EXCEEDED",
        description,
        metadata={"limit": "STORAGE_BYTES_PER_USER", "maximum": str(most), "actual": str(actual)},
        quota=[Violation("STORAGE_BYTES_PER_USER", description)],
    )


def _these(uids: Sequence[FileUid]) -> Select[Any]:
    # In order, so that two that want the same files wait for one another instead of deadlocking.
    return select(*FILE_COLUMNS).where(files.c.uid == func.any(list(uids), type_=ARRAY(Uuid))).order_by(files.c.uid)


def _insertion(draft: Draft, check_after: timedelta) -> Any:
    values: dict[str, Any] = {
        **values_of(draft, "content_hashes"),
        "state": FileState.PENDING,
        "content_hash": draft.content_hashes[0],
    }
    row = [literal(value, files.c[name].type) for name, value in values.items()]
    # In the statement that writes: see services/runtime/data/writers.py.
    is_deleted = exists().where(fences.c.uid.in_([draft.room_uid, draft.owner_uid]))
    insertion = insert(files).from_select(
        [*values, "create_time", "check_time"], select(*row, now, now + check_after).where(~is_deleted)
    )
    return insertion.on_conflict_do_nothing(index_elements=["owner_uid", "request_id"]).returning(*FILE_COLUMNS)
