"""What a deleted user has written, found room by room, and what is left of it when its messages are deleted.

There is no index of senders, which every send would pay for: all rooms are looked through, with a look at the index of
request ids in each. How far that is stands in the user's fence, so that whoever goes on begins there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from sqlalchemy import text

from services.runtime.data.database import Database
from services.runtime.ids import NO_USER, RoomUid, UserUid

# Locked or written by whoever writes something of a user's.
WRITTEN = ["messages.heads", "messages.read_cursors", "messages.attachments"]
# After the uids of all rooms.
LAST = UUID(int=2**128 - 1)
_ROOMS_AT_ONCE = 200
_FENCE = text("INSERT INTO messages.fences (uid) VALUES (:user_uid) ON CONFLICT DO NOTHING")
_STANDS = text("SELECT walked_to FROM messages.fences WHERE uid = :user_uid")
_WALKED = text("UPDATE messages.fences SET walked_to = :walked_to WHERE uid = :user_uid")
# What is in a room that was deleted goes with it.
_ROOMS = text("""
    SELECT room_uid FROM messages.heads WHERE room_uid > :after AND NOT is_erased ORDER BY room_uid LIMIT :most
""")
_WRITTEN = text("""
    SELECT m.room_uid, m.seq, m.message, m.delete_time IS NOT NULL AS is_deleted
    FROM unnest(CAST(:room_uids AS uuid[])) AS a (room_uid)
    CROSS JOIN LATERAL (
        SELECT * FROM messages.messages AS m WHERE m.room_uid = a.room_uid AND m.sender_uid = :user_uid LIMIT :most
    ) AS m
    LIMIT :most
""")
# What is left names nobody; the seq keeps it from being taken for another one's repetition.
_SCRUB = text("""
    UPDATE messages.messages SET sender_uid = :nobody, request_id = seq, content_hash = '', edited_hash = NULL
    WHERE room_uid = :room_uid AND seq = ANY(:seqs) AND delete_time IS NOT NULL
""")
_SCRUB_EVENTS = text("""
    UPDATE messages.events SET request_id = NULL, content_hash = NULL
    WHERE room_uid = :room_uid AND message_seq = ANY(:seqs) AND request_id IS NOT NULL
""")
_REMOVE_REFERENCES = text("""
    DELETE FROM messages.attachments WHERE sender_uid = :user_uid AND room_uid > :after AND room_uid <= :last
""")
_REMOVE_CURSORS = text("""
    DELETE FROM messages.read_cursors WHERE user_uid = :user_uid AND room_uid > :after AND room_uid <= :last
""")


@dataclass(frozen=True, slots=True)
class Written:
    """A message of a user's, serialized; of one that was deleted before, only its row names the user."""

    room_uid: RoomUid
    seq: int
    message: bytes
    is_deleted: bool


class UserErasureStore:
    """What is removed of users in PostgreSQL; what changes the log goes the way of all writes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def fence(self, user_uid: UserUid) -> None:
        """Let a user send nothing any more, set no cursor and refer to no file."""
        await self._do(_FENCE, user_uid=user_uid)

    async def walked_to(self, user_uid: UserUid) -> UUID:
        """Return up to which room all was looked through; when nothing is left that is LAST."""
        async with self._database.reading() as connection:
            return cast("UUID", (await connection.execute(_STANDS, {"user_uid": user_uid})).scalar_one())

    async def rooms_after(self, after: UUID) -> list[RoomUid]:
        """Return a page of all rooms in which anything was ever said, by their uids."""
        async with self._database.reading() as connection:
            return list((await connection.execute(_ROOMS, {"after": after, "most": _ROOMS_AT_ONCE})).scalars())

    async def written(self, user_uid: UserUid, room_uids: Sequence[RoomUid], most: int) -> list[Written]:
        """Return some of what a user has written in some rooms."""
        values = {"user_uid": user_uid, "room_uids": list(room_uids), "most": most}
        async with self._database.reading() as connection:
            found = await connection.execute(_WRITTEN, values)
            return [Written(row.room_uid, row.seq, row.message, row.is_deleted) for row in found]

    async def scrub(self, room_uid: RoomUid, seqs: Sequence[int]) -> None:
        """Take from messages that are deleted who had sent them, and with which request."""
        values = {"room_uid": room_uid, "seqs": list(seqs)}
        async with self._database.transaction() as connection:
            await connection.execute(_SCRUB, {**values, "nobody": NO_USER})
            await connection.execute(_SCRUB_EVENTS, values)

    async def remove_rest(self, user_uid: UserUid, after: UUID, last: UUID) -> None:
        """Remove a user's cursors and references in the rooms after one and up to another, and note that it is done.

        There are cursors in rooms in which nothing was ever said.
        """
        rooms = {"user_uid": user_uid, "after": after, "last": last}
        async with self._database.transaction() as connection:
            await connection.execute(_REMOVE_CURSORS, rooms)
            await connection.execute(_REMOVE_REFERENCES, rooms)
            await connection.execute(_WALKED, {"user_uid": user_uid, "walked_to": last})

    async def _do(self, statement: Any, **values: Any) -> None:
        async with self._database.transaction() as connection:
            await connection.execute(statement, values)
