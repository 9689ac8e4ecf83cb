"""What retention reads of heads and logs in PostgreSQL, all times by its clock; `removal.sweep` removes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    DateTime,
    Interval,
    Table,
    Uuid,
    and_,
    bindparam,
    func,
    select,
)

from services.messages.log.append import Connection
from services.messages.log.tables import events, heads, messages
from services.messages.retention.removal import sweep
from services.runtime.data.database import Database
from services.runtime.ids import RoomUid

_MOST = bindparam("most", type_=BigInteger)
_page = (
    select(heads.c.room_uid, heads.c.oldest_seq, heads.c.seq)
    .where(heads.c.room_uid > bindparam("after", type_=Uuid), heads.c.room_uid <= bindparam("last", type_=Uuid))
    .order_by(heads.c.room_uid)
    .limit(_MOST)
    .subquery("page")
)


def _oldest_of(log: Table) -> ColumnElement[bool]:
    return and_(log.c.room_uid == _page.c.room_uid, log.c.seq == _page.c.oldest_seq)


# The oldest event is a message's creation or has a row of its own; there is none where everything was removed.
_oldest_time = func.coalesce(messages.c.create_time, events.c.time)
_OLD = (
    select(
        _page.c.room_uid,
        func.coalesce(_oldest_time < func.clock_timestamp() - bindparam("age", type_=Interval), False).label("is_old"),
    )
    .select_from(_page.outerjoin(messages, _oldest_of(messages)).outerjoin(events, _oldest_of(events)))
    .order_by(_page.c.room_uid)
)


def _first_young(log: Table, time: ColumnElement[Any]) -> Any:
    """Select the first event of a batch that is not old; NULL when there is none."""
    return (
        select(func.min(log.c.seq))
        .where(
            log.c.room_uid == heads.c.room_uid,
            log.c.seq >= heads.c.oldest_seq,
            log.c.seq < heads.c.oldest_seq + _MOST,
            time >= bindparam("cutoff", type_=DateTime(timezone=True)),
        )
        .correlate(heads)
        .scalar_subquery()
    )


# least() passes over NULLs.
_BEGINNING = select(
    heads.c.oldest_seq,
    func.least(
        heads.c.oldest_seq + _MOST,
        heads.c.seq + 1,
        _first_young(messages, messages.c.create_time),
        _first_young(events, events.c.time),
    ).label("end"),
).where(heads.c.room_uid == bindparam("in_room", type_=Uuid))


@dataclass(frozen=True, slots=True)
class OldRooms:
    """The rooms of a page whose oldest event is old; `last` is the page's last room, None when the page was empty."""

    room_uids: Sequence[RoomUid]
    last: UUID | None


class RetentionStore:
    """The beginnings of logs in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def now(self) -> datetime:
        """Return the time by the database's clock."""
        async with self._database.reading() as connection:
            return cast("datetime", (await connection.execute(select(func.clock_timestamp()))).scalar_one())

    async def old_rooms(self, after: UUID, last: UUID, age: timedelta, most: int) -> OldRooms:
        """Look at so many rooms after one and up to another, by their uids, for events that are older than that."""
        async with self._database.reading() as connection:
            values = {"after": after, "last": last, "age": age, "most": most}
            rows = (await connection.execute(_OLD, values)).all()
        return OldRooms([row.room_uid for row in rows if row.is_old], rows[-1].room_uid if rows else None)

    async def beginning(self, room_uid: RoomUid, cutoff: datetime, most: int) -> range:
        """Return the seqs with which a room's log begins and that are from before a time, so many at the most."""
        async with self._database.reading() as connection:
            values = {"in_room": room_uid, "cutoff": cutoff, "most": most}
            row = (await connection.execute(_BEGINNING, values)).one_or_none()
        return range(row.oldest_seq, row.end) if row is not None else range(0)

    async def remove(self, room_uid: RoomUid, seqs: range, until: datetime) -> bool:
        """Remove what a room's log begins with, unless it no longer does, or it is later than that."""
        async with self._database.transaction() as connection:
            raw = await connection.get_raw_connection()
            return await sweep(cast("Connection", raw.driver_connection), room_uid, seqs, until)
