"""What messages has of a user, found room by room as the eraser finds it: there is no index of senders.

A room's messages are found by an index that is not in their order. So their places are read first, many at a time, and
then the messages of these, few at a time: else every page would sort all that the user has said in the room.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NewType
from uuid import UUID

from chatkit.messages.v1 import message_pb2
from sqlalchemy import text

from services.runtime.data.columns import fields_of
from services.runtime.data.database import Database
from services.runtime.ids import RoomId, RoomUid, UserUid

FIRST_ROOM, LAST_ROOM = RoomUid(UUID(int=0)), RoomUid(UUID(int=2**128 - 1))
_ROOMS_AT_ONCE = 200
# Of 8 bytes each in the database, and some more here.
_SEQS_AT_ONCE = 5_000
# Of 5 KiB each, unless a deployment lets them be larger.
MESSAGES_AT_ONCE = 100
_REST_AT_ONCE = 100
_ROOMS = text("""
    SELECT h.room_uid, coalesce(own.is_there, false) AS is_written FROM messages.heads AS h
    LEFT JOIN LATERAL (
        SELECT true AS is_there FROM messages.messages AS m
        WHERE m.room_uid = h.room_uid AND m.sender_uid = :user_uid LIMIT 1
    ) AS own ON true
    WHERE h.room_uid > :after AND NOT h.is_erased ORDER BY h.room_uid LIMIT :most
""")
_SEQS = text("""
    SELECT seq FROM messages.messages
    WHERE room_uid = :room_uid AND sender_uid = :user_uid AND seq > :after ORDER BY seq LIMIT :most
""")
# A message may have gone meanwhile.
_MESSAGES = text("""
    SELECT seq, message, request_id, create_time, delete_time FROM messages.messages
    WHERE room_uid = :room_uid AND seq = ANY(:seqs) AND sender_uid = :user_uid ORDER BY seq
""")
# Only messages name their rooms, also those that were deleted.
_CURSORS = text("""
    SELECT c.room_uid, c.seq, c.revision, c.update_time,
        (SELECT m.message FROM messages.messages AS m WHERE m.room_uid = c.room_uid LIMIT 1) AS some_message
    FROM messages.read_cursors AS c
    WHERE c.user_uid = :user_uid AND c.room_uid > :after AND c.room_uid <= :last ORDER BY c.room_uid LIMIT :most
""")
_ATTACHMENTS = text("""
    SELECT a.room_uid, a.file_id, a.request_id, a.note_time,
        (SELECT m.message FROM messages.messages AS m WHERE m.room_uid = a.room_uid LIMIT 1) AS some_message
    FROM messages.attachments AS a
    WHERE a.sender_uid = :user_uid AND a.room_uid >= :room_uid AND a.room_uid <= :last
        AND (a.room_uid, a.file_id, a.request_id) > (:room_uid, :file_id, :request_id)
    ORDER BY a.room_uid, a.file_id, a.request_id LIMIT :most
""")

# What the files of attachments are called.
FileId = NewType("FileId", str)
# Where a reference to a file stands among those of its user: room, file and request.
AttachmentPlace = tuple[RoomUid, FileId, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SentMessage:
    """A message of a user's, serialized, as it is now."""

    seq: int
    message: bytes
    request_id: str
    create_time: datetime
    delete_time: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """How far a user has read a room, of which the id is known where a message of it is left."""

    room_uid: RoomUid
    room_id: RoomId | None
    seq: int
    revision: int
    update_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """That a message of a user's refers to a file, or was about to; the room's id is known as a cursor's is."""

    room_uid: RoomUid
    room_id: RoomId | None
    file_id: FileId
    request_id: str
    note_time: datetime

    @property
    def place(self) -> AttachmentPlace:
        """Where it stands among the user's."""
        return self.room_uid, self.file_id, self.request_id


class UserExportStore:
    """What there is of users. Pages begin after a key, and have a bound of their own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def rooms(self, user_uid: UserUid, after: RoomUid) -> list[tuple[RoomUid, bool]]:
        """Return a page of all rooms in which anything was said, each with whether the user has said something."""
        rows = await self._read(_ROOMS, user_uid=user_uid, after=after, most=_ROOMS_AT_ONCE)
        return [(row.room_uid, row.is_written) for row in rows]

    async def seqs(self, user_uid: UserUid, room_uid: RoomUid, after: int) -> list[int]:
        """Return the next places in a room at which a user has said something."""
        rows = await self._read(_SEQS, user_uid=user_uid, room_uid=room_uid, after=after, most=_SEQS_AT_ONCE)
        return [row.seq for row in rows]

    async def messages(self, user_uid: UserUid, room_uid: RoomUid, seqs: Sequence[int]) -> list[SentMessage]:
        """Return those of a user's messages that are at some places of a room, in their order."""
        rows = await self._read(_MESSAGES, user_uid=user_uid, room_uid=room_uid, seqs=list(seqs))
        return [SentMessage(**fields_of(row, SentMessage)) for row in rows]

    async def cursors(self, user_uid: UserUid, last: RoomUid, after: RoomUid) -> list[Cursor]:
        """Return a page of a user's cursors in the rooms after one, up to the last one. Some are in silent rooms."""
        rows = await self._read(_CURSORS, user_uid=user_uid, after=after, last=last, most=_REST_AT_ONCE)
        return [
            Cursor(
                room_uid=row.room_uid,
                room_id=_room_id(row.some_message),
                seq=row.seq,
                revision=row.revision,
                update_time=row.update_time,
            )
            for row in rows
        ]

    async def attachments(self, user_uid: UserUid, last: RoomUid, after: AttachmentPlace) -> list[Attachment]:
        """Return a page of a user's references to files in the rooms after a place, up to the last one."""
        room_uid, file_id, request_id = after
        place = {"room_uid": room_uid, "file_id": file_id, "request_id": request_id}
        rows = await self._read(_ATTACHMENTS, user_uid=user_uid, last=last, most=_REST_AT_ONCE, **place)
        return [
            Attachment(
                room_uid=row.room_uid,
                room_id=_room_id(row.some_message),
                file_id=row.file_id,
                request_id=row.request_id,
                note_time=row.note_time,
            )
            for row in rows
        ]

    async def _read(self, statement: Any, **values: Any) -> Sequence[Any]:
        async with self._database.reading() as connection:
            return (await connection.execute(statement, values)).all()


def _room_id(message: bytes | None) -> RoomId | None:
    return RoomId(message_pb2.Message.FromString(message).room_id) if message is not None else None
