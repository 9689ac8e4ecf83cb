"""Ways to let messages grow old, to sweep them, and to see where a log begins."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

import psycopg

from services.messages.retention.model import Retention
from services.messages.retention.store import RetentionStore
from services.messages.retention.sweeper import Sweeper
from services.runtime.clock import Clock, SystemClock
from services.runtime.data.database import Database, create_engine
from services.runtime.ids import RoomUid
from tests.support.databases import TestDatabase
from tests.support.peers import uid_of

MONTH = timedelta(days=30)


def grow_old(
    database: TestDatabase, up_to_seq: int, by: timedelta = timedelta(days=31), room_uid: UUID | None = None
) -> int:
    """Let the events of a room up to a seq have happened so much earlier; return the last one's seq."""
    room = room_uid or uid_of("lobby")
    with psycopg.connect(database.superuser_dsn) as connection:
        # As every writer does, so that nobody deadlocks.
        head = connection.execute("SELECT seq FROM messages.heads WHERE room_uid = %s FOR UPDATE", (room,)).fetchone()
        for table, time in (("messages", "create_time"), ("events", "time")):
            connection.execute(
                f"UPDATE messages.{table} SET {time} = {time} - %s WHERE room_uid = %s AND seq <= %s",
                (by, room, up_to_seq),
            )
    return min(up_to_seq, head[0]) if head is not None else 0


def oldest_seq(database: TestDatabase, room_uid: UUID | None = None) -> int:
    """Return where a room's log begins, after a look at whether it is dense from there."""
    room = room_uid or uid_of("lobby")
    with psycopg.connect(database.superuser_dsn) as connection:
        # Head and rows of one moment.
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        head = connection.execute("SELECT oldest_seq, seq FROM messages.heads WHERE room_uid = %s", (room,)).fetchone()
        assert head is not None
        seqs = connection.execute(
            "SELECT seq FROM messages.messages WHERE room_uid = %(room)s UNION ALL"
            " SELECT seq FROM messages.events WHERE room_uid = %(room)s ORDER BY seq",
            {"room": room},
        ).fetchall()
    assert [seq for (seq,) in seqs] == list(range(head[0], head[1] + 1))
    return int(head[0])


class Rooms:
    """What rooms says of retention, from a dict; `asked` counts the questions."""

    most = 1_000

    def __init__(self, days: dict[RoomUid, int | None]) -> None:
        self.days = days
        self.asked = 0

    async def of(self, room_uids: Iterable[RoomUid]) -> dict[RoomUid, int | None]:
        """Answer."""
        self.asked += 1
        return {uid: self.days[uid] for uid in room_uids if uid in self.days}


@asynccontextmanager
async def sweeper(
    database: TestDatabase,
    rooms: Rooms,
    days: int | None = 30,
    *,
    clock: Clock | None = None,
    swept: list[RoomUid] | None = None,
) -> AsyncIterator[Sweeper]:
    """Lend a sweeper, as a process has one, with connections of its own; it writes down what it has swept."""
    connections = Database(create_engine(database.dsn("messages")))
    told = swept if swept is not None else []
    yield Sweeper(
        RetentionStore(connections),
        cast("Any", rooms),
        Retention(days, 7),
        clock or SystemClock(),
        on_swept=told.append,
        interval=3_600,
        pause=0,
    )
    await connections.close()
