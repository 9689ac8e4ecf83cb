"""`export` of messages: room by room, each room's in their order. What is deleted is left out."""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC
from typing import Any
from uuid import UUID

from chatkit.messages.v1 import message_pb2, part_pb2

from services.messages.peers import RetentionClient
from services.messages.settings import MessagesSettings
from services.messages.transfer.store import TransferStore
from services.runtime.contract import json_values
from services.runtime.contract.timestamps import rfc3339
from services.runtime.process.command import Tools
from services.runtime.process.records import Record
from services.runtime.process.transferring import export_command

_PAGE = 500
# Every number of so many digits is a double.
_MOST_DIGITS = 15


async def export(settings: MessagesSettings, tools: Tools) -> AsyncIterator[Record]:
    """Yield the messages of the rooms that there are."""
    rooms = RetentionClient(tools.peer("rooms", settings.rooms_address), settings.limits)
    store, after = TransferStore(tools.database), UUID(int=0)
    while page := await store.logs(after, rooms.most):
        known = await rooms.of(page)
        for room_uid in page:
            seq = 0
            while room_uid in known and (messages := await store.page(room_uid, seq, _PAGE)):
                for stored in messages:
                    yield _record(stored.request_id, message_pb2.Message.FromString(stored.message))
                seq = messages[-1].seq
        after = page[-1]


def _record(request_id: str, message: message_pb2.Message) -> Record:
    update_time = message.edit_time if message.HasField("edit_time") else message.create_time
    return {
        "id": int(request_id) if _is_number(request_id) else request_id,
        "sender_id": message.sender_id,
        "room_id": message.room_id,
        "created_at": rfc3339(message.create_time.ToDatetime(UTC)),
        "updated_at": rfc3339(update_time.ToDatetime(UTC)),
        "parts": [_part(part) for part in message.parts],
        **({"custom_data": json_values.plain(message.custom_data)} if message.HasField("custom_data") else {}),
    }


def _is_number(text: str) -> bool:
    """Tell whether a text is how a whole number is written, and only that."""
    return text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS and str(int(text)) == text


def _part(part: part_pb2.Part) -> Mapping[str, Any]:
    match part.WhichOneof("value"):
        case "url":
            return _of_type("url", part, {"url": part.url})
        case "file_id":
            return _of_type("attachment", part, _file(part))
        case _:
            return _of_type("inline", part, {"content": part.content})


def _of_type(part_type: str, part: part_pb2.Part, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"part_type": part_type, "payload": {"type": part.content_type, **payload}}


def _file(part: part_pb2.Part) -> Mapping[str, Any]:
    file = part.file
    told = {"name": file.name, "size": file.size_bytes, "file_id": part.file_id, "sha256": file.sha256}
    return told | ({"custom_data": json_values.plain_value(file.custom_data)} if file.HasField("custom_data") else {})


run_export = export_command("messages", export)
