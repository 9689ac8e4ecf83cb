"""Tells everything that messages has of a user, a page of rooms after the other."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from chatkit.messages.v1 import message_pb2

from services.messages.export.store import (
    FIRST_ROOM,
    LAST_ROOM,
    MESSAGES_AT_ONCE,
    Attachment,
    Cursor,
    FileId,
    SentMessage,
    UserExportStore,
)
from services.runtime.erasure.exporting import Records, fields_of_message, paged, record
from services.runtime.erasure.model import ErasedUser
from services.runtime.ids import RoomUid, UserUid

_record = partial(record, "messages")
# After the references of a room: no file's id comes later.
_END = FileId("\U0010ffff")


class UserExporter:
    """What ErasureService.Export sends of messages."""

    def __init__(self, store: UserExportStore) -> None:
        self._store = store

    async def export_user(self, user: ErasedUser) -> Records:
        """Yield all records of a user."""
        store, after = self._store, FIRST_ROOM
        while after < LAST_ROOM:
            rooms = await store.rooms(user.uid, after)
            last = rooms[-1][0] if rooms else LAST_ROOM
            for room_uid in (uid for uid, is_written in rooms if is_written):
                async for message in self._messages(user.uid, room_uid):
                    yield _record("message", _message_fields(message))
            async for cursor in paged(partial(store.cursors, user.uid, last), after, lambda one: one.room_uid):
                yield _record("read_cursor", _cursor_fields(cursor, user))
            of_rooms = partial(store.attachments, user.uid, last)
            async for attachment in paged(of_rooms, (after, _END, ""), lambda one: one.place):
                yield _record("attachment", _attachment_fields(attachment))
            after = last

    async def _messages(self, user_uid: UserUid, room_uid: RoomUid) -> AsyncIterator[SentMessage]:
        after = 0
        while seqs := await self._store.seqs(user_uid, room_uid, after):
            for start in range(0, len(seqs), MESSAGES_AT_ONCE):
                some = seqs[start : start + MESSAGES_AT_ONCE]
                for message in await self._store.messages(user_uid, room_uid, some):
                    yield message
            after = seqs[-1]


def _message_fields(sent: SentMessage) -> dict[str, Any]:
    message = message_pb2.Message.FromString(sent.message)
    if sent.delete_time is None:
        return {**fields_of_message(message), "request_id": sent.request_id}
    # What is left of it, beside the place that others see: when it was.
    return {
        "room_id": message.room_id,
        "seq": str(sent.seq),
        "create_time": sent.create_time,
        "delete_time": sent.delete_time,
    }


def _cursor_fields(cursor: Cursor, user: ErasedUser) -> dict[str, Any]:
    return {
        "room_id": cursor.room_id,
        "user_id": user.id,
        "seq": str(cursor.seq),
        "revision": str(cursor.revision),
        "update_time": cursor.update_time,
    }


def _attachment_fields(attachment: Attachment) -> dict[str, Any]:
    return {
        "file_id": attachment.file_id,
        "room_id": attachment.room_id,
        "request_id": attachment.request_id,
        "note_time": attachment.note_time,
    }
