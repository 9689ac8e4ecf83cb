"""What an export says of a user, a room or a message, as the services take it; an OddRecord says what they can't take.

Numbers are texts, what is missing is left out, and times are in one form.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from google.protobuf.message import Error as ProtobufError

from services.runtime.contract import json_values
from services.runtime.contract.timestamps import from_rfc3339, rfc3339
from services.stack.exports.records import OddRecord, Raw, flag, items, struct, text, text_or_empty, texts

Record = dict[str, Any]
# What has no time, in an export in which nothing else tells one.
UNKNOWN_TIME = "1970-01-01T00:00:00Z"
# Some exports have this for a time.
_NO_TIMES = (None, "", "Z")


def is_deleted(raw: Raw) -> bool:
    """Tell whether a record is of what was deleted."""
    return text_or_empty(raw, "deleted_at") != ""


def user(raw: Raw) -> Record:
    """Return a user, who is called like their id where there is no name."""
    user_id = text(raw, "id")
    avatar_url = text_or_empty(raw, "avatar_url")
    return {
        "id": user_id,
        "name": text(raw, "name", user_id),
        **({"avatar_url": avatar_url} if avatar_url else {}),
        **_custom_data(raw),
        **_times(raw),
    }


def room(raw: Raw) -> Record:
    """Return a room, which is called like its id where there is no name."""
    room_id, creator_id = text(raw, "id"), text_or_empty(raw, "created_by_id")
    title = raw.get("push_notification_title_override")
    return {
        "id": room_id,
        "name": text(raw, "name", room_id),
        "private": flag(raw, "private"),
        "member_ids": texts(raw, "member_ids"),
        **({"created_by_id": creator_id} if creator_id else {}),
        **({} if title is None else {"push_notification_title_override": _title(raw)}),
        **_custom_data(raw),
        **_times(raw),
    }


def message(raw: Raw) -> Record:
    """Return a message; its times are None where it has none."""
    created_at = time(raw, "created_at")
    return {
        "id": text(raw, "id"),
        "room_id": text(raw, "room_id"),
        "sender_id": text(raw, "sender_id"),
        "parts": [_part(part) for part in items(raw, "parts")],
        **_custom_data(raw),
        "created_at": created_at,
        "updated_at": time(raw, "updated_at") or created_at,
    }


def time(raw: Raw, field: str) -> str | None:
    """Return a time in its one form, or None where there is none; raises OddRecord for what is no time."""
    told = raw.get(field)
    if told in _NO_TIMES:
        return None
    try:
        return rfc3339(from_rfc3339(text(raw, field)))
    except ValueError:
        raise OddRecord(f"{field} is no time: {told!r:.40}") from None


def microseconds(told: str) -> int:
    """Return a time as a number, by which times are put in order."""
    return (from_rfc3339(told) - _EPOCH) // _MICROSECOND


_EPOCH, _MICROSECOND = datetime.fromisoformat(UNKNOWN_TIME), timedelta(microseconds=1)


def _times(raw: Raw) -> Mapping[str, str]:
    updated_at = time(raw, "updated_at")
    created_at = time(raw, "created_at") or updated_at or UNKNOWN_TIME
    return {"created_at": created_at, "updated_at": updated_at or created_at}


def _title(raw: Raw) -> str:
    return text_or_empty(raw, "push_notification_title_override")


def _custom_data(raw: Raw) -> Mapping[str, Any]:
    # Only looked at here: what it becomes is for the services to say.
    struct(raw, "custom_data")
    told = raw.get("custom_data")
    # An empty array is how some languages write an empty object.
    return {} if told is None else {"custom_data": told or {}}


def _part(raw: object) -> Record:
    payload = raw.get("payload") if isinstance(raw, dict) else None
    if not isinstance(raw, dict) or not isinstance(payload, dict):
        raise OddRecord("a part has no payload")
    part_type = raw.get("part_type")
    match part_type:
        case "inline":
            told = {"content": text_or_empty(payload, "content")}
        case "url":
            told = {"url": text_or_empty(payload, "url")}
        case "attachment":
            told = _attachment(payload)
        case _:
            raise OddRecord(f"part_type is {part_type!r:.40}")
    return {"part_type": part_type, "payload": {"type": text_or_empty(payload, "type"), **told}}


def _attachment(payload: Raw) -> Record:
    told: Record = {"download_url": text_or_empty(payload, "download_url"), "name": text_or_empty(payload, "name")}
    if payload.get("custom_data") is not None:
        told["custom_data"] = payload["custom_data"]
        _check_value(told["custom_data"])
    return told


def _check_value(value: object) -> None:
    """Raise OddRecord for a value of JSON that the suite can't be sent."""
    try:
        json_values.value_of(value).SerializeToString()
    except (ValueError, TypeError, OverflowError, RecursionError, ProtobufError) as error:
        raise OddRecord(f"custom_data can't be sent: {error}") from None
