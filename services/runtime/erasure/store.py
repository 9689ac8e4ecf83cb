"""Deletions in PostgreSQL, in the schema of whoever runs them. All times are the database's."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import Select, Text, exists, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.contract.errors import FailedPrecondition
from services.runtime.data.database import Database
from services.runtime.erasure.model import Backlog, Deletion, DeletionId, DeletionState, PseudonymKey, ServiceDeletion
from services.runtime.erasure.tables import DeletionTables, now
from services.runtime.ids import RoomUid, UserUid

_AFTER_DELETION = timedelta(seconds=5)
# Of no use but to the statements here.
_INNER = ("subject_hash", "claim_time")


class DeletionStore:
    """The deletions of a schema; `services` are those that have something of a subject."""

    def __init__(self, database: Database, tables: DeletionTables, services: Sequence[str]) -> None:
        self._database = database
        self._services = services
        self._jobs = tables.deletions
        self._parts = tables.service_deletions
        self._hash = tables.hash_of

    async def begin(
        self,
        connection: AsyncConnection,
        subject_uid: RoomUid | UserUid,
        subject_id: str,
        *,
        done: Iterable[str],
        lease: timedelta,
        pseudonyms: PseudonymKey | None = None,
    ) -> DeletionId:
        """Note a deletion, in the transaction that hides its subject; some services may have done their part by then.

        Others leave it alone for as long as the lease. With `pseudonyms`, messages stay.
        """
        deletion_id = DeletionId(uuid4())
        job = insert(self._jobs).values(
            id=deletion_id,
            subject_uid=subject_uid,
            subject_id=subject_id,
            subject_hash=self._hash(subject_id),
            state=DeletionState.RUNNING,
            claim_time=now + lease,
            keeps_messages=pseudonyms is not None,
            pseudonym_key=pseudonyms.secret if pseudonyms is not None else None,
        )
        await connection.execute(job)
        states = dict.fromkeys(self._services, DeletionState.RUNNING) | dict.fromkeys(done, DeletionState.DONE)
        rows = [{"deletion_id": deletion_id, "service": name, "state": state} for name, state in states.items()]
        await connection.execute(insert(self._parts).values(rows))
        return deletion_id

    async def refuse_taken(self, connection: AsyncConnection, subject_ids: Sequence[str], field: str) -> None:
        """Raise BEING_DELETED where something with such an id is, in a transaction that has just used the ids."""
        ids = func.any(list(subject_ids), type_=ARRAY(Text))
        taken = select(self._jobs.c.subject_id).where(self._jobs.c.subject_id == ids).order_by(self._jobs.c.subject_id)
        found = (await connection.execute(taken.limit(1))).scalar()
        if found is not None:
            raise FailedPrecondition(
                "BEING_DELETED",
                "what has this id is being deleted: try again when that is done",
                metadata={field: found},
                retry_after=_AFTER_DELETION,
            )

    async def find(self, deletion_id: DeletionId) -> Deletion | None:
        """Return a deletion as far as it is."""
        found = await self._read(select(*self._columns).where(self._jobs.c.id == deletion_id))
        return found[0] if found else None

    async def of_subject(self, subject_id: str) -> Deletion | None:
        """Return the last deletion of what had this id, unless it was done more than a day ago."""
        statement = select(*self._columns).where(self._jobs.c.subject_hash == self._hash(subject_id))
        found = await self._read(self._newest(statement, 1))
        return found[0] if found else None

    async def page(self, after: tuple[datetime, DeletionId] | None, size: int) -> list[Deletion]:
        """Return deletions, the newest first."""
        statement = select(*self._columns)
        if after is not None:
            statement = statement.where(tuple_(self._jobs.c.create_time, self._jobs.c.id) < tuple_(*after))
        return await self._read(self._newest(statement, size))

    async def claim(self, lease: timedelta, size: int) -> list[DeletionId]:
        """Return deletions that are running and that nobody is at, and keep them from others for a while.

        Those in a state of a later release are for that to go on with.
        """
        waiting = select(self._jobs.c.id).where(
            self._jobs.c.state == DeletionState.RUNNING, self._jobs.c.claim_time <= now
        )
        waiting = waiting.order_by(self._jobs.c.claim_time).limit(size).with_for_update(skip_locked=True)
        claimed = update(self._jobs).where(self._jobs.c.id.in_(waiting)).values(claim_time=now + lease)
        async with self._database.transaction() as connection:
            return list((await connection.execute(claimed.returning(self._jobs.c.id))).scalars())

    async def backlog(self) -> Backlog:
        """Return how many deletions are running, whoever is at them, and how old the oldest is."""
        age = func.extract("epoch", now - func.min(self._jobs.c.create_time))
        running = select(func.count(), func.coalesce(func.greatest(age, 0), 0)).where(
            self._jobs.c.state == DeletionState.RUNNING
        )
        async with self._database.reading() as connection:
            count, seconds = (await connection.execute(running)).one()
        return Backlog(count, float(seconds))

    async def let_go(self, deletion_id: DeletionId, pause: timedelta) -> None:
        """Let others go on with a deletion after a pause."""
        released = update(self._jobs).where(self._jobs.c.id == deletion_id).values(claim_time=now + pause)
        async with self._database.transaction() as connection:
            await connection.execute(released)

    async def service_done(self, deletion_id: DeletionId, service: str) -> None:
        """Note that a service has nothing of the subject any more; with the last one the deletion is done."""
        part = (self._parts.c.deletion_id == deletion_id) & (self._parts.c.state != DeletionState.DONE)
        ended = {"state": DeletionState.DONE, "update_time": now}
        job = update(self._jobs).where(self._jobs.c.id == deletion_id, self._jobs.c.state != DeletionState.DONE)
        async with self._database.transaction() as connection:
            # First, so that of two services that end at once the second one sees the first.
            await connection.execute(select(self._jobs.c.id).where(self._jobs.c.id == deletion_id).with_for_update())
            await connection.execute(update(self._parts).where(part, self._parts.c.service == service).values(**ended))
            await connection.execute(
                job.where(~exists().where(part)).values(**ended, subject_id=None, pseudonym_key=None)
            )

    async def forget(self, age: timedelta) -> None:
        """Forget what the subjects were of deletions that were done so long ago."""
        old = update(self._jobs).where(
            self._jobs.c.subject_hash.is_not(None),
            self._jobs.c.state == DeletionState.DONE,
            self._jobs.c.update_time < now - age,
        )
        async with self._database.transaction() as connection:
            await connection.execute(old.values(subject_hash=None))

    @property
    def _columns(self) -> Sequence[Any]:
        return [column for column in self._jobs.c if column.name not in _INNER]

    def _newest(self, statement: Select[Any], size: int) -> Select[Any]:
        return statement.order_by(self._jobs.c.create_time.desc(), self._jobs.c.id.desc()).limit(size)

    async def _read(self, statement: Select[Any]) -> list[Deletion]:
        async with self._database.reading() as connection:
            jobs = (await connection.execute(statement)).all()
            parts = select(self._parts).where(self._parts.c.deletion_id.in_([job.id for job in jobs]))
            of_job: dict[DeletionId, list[ServiceDeletion]] = {job.id: [] for job in jobs}
            for row in await connection.execute(parts.order_by(self._parts.c.service)) if jobs else ():
                part = ServiceDeletion(row.service, DeletionState(row.state), row.update_time)
                of_job[row.deletion_id].append(part)
        return [_deletion(job, of_job[job.id]) for job in jobs]


def _deletion(row: Any, services: Sequence[ServiceDeletion]) -> Deletion:
    return Deletion(
        id=row.id,
        subject_uid=row.subject_uid,
        subject_id=row.subject_id or "",
        state=DeletionState(row.state),
        create_time=row.create_time,
        update_time=row.update_time,
        keeps_messages=row.keeps_messages,
        pseudonyms=PseudonymKey(row.pseudonym_key) if row.pseudonym_key is not None else None,
        services=services,
    )
