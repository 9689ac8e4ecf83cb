"""Reading a Chatkit export: users, rooms and messages, a record per line or one array per file.

Ids of messages repeat across rooms, and may be numbers or strings. The order within a room is that of the file: exports
have messages whose time is missing.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from services.stack.trouble import Trouble

_ENDINGS = (".ndjson", ".json")
_REQUEST_ID_CHARS = 64


@dataclass(frozen=True, slots=True)
class User:
    """A user of the export."""

    id: str
    name: str
    avatar_url: str
    custom_data: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a message: its content, or where it is."""

    content_type: str
    content: str | None
    url: str | None


@dataclass(frozen=True, slots=True)
class Message:
    """A message of the export; the request id is the same each time that the export is played."""

    sender_id: str
    parts: tuple[Part, ...]
    request_id: str


@dataclass(frozen=True, slots=True)
class Room:
    """A room of the export with everything in it."""

    id: str
    name: str
    is_private: bool
    creator_id: str
    member_ids: tuple[str, ...]
    custom_data: Mapping[str, Any] | None
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Export:
    """A whole export; users that only messages or rooms name are there too, called like their ids."""

    users: tuple[User, ...]
    rooms: tuple[Room, ...]


def read(folder: Path) -> Export:
    """Read an export; a record that can't be read is Trouble that names its file and place."""
    if not folder.is_dir():
        raise Trouble(f"{folder} is not a folder")
    messages: dict[str, list[Message]] = {}
    request_ids: Counter[tuple[str, str, str]] = Counter()
    for where, raw in _records(folder, "messages"):
        room_id, message = _message(where, raw, request_ids)
        messages.setdefault(room_id, []).append(message)
    rooms = tuple(_room(where, raw, messages) for where, raw in _records(folder, "rooms"))
    unknown = messages.keys() - {room.id for room in rooms}
    if unknown:
        raise Trouble(
            f"{folder}: messages are in rooms that the export does not have: {', '.join(sorted(unknown)[:5])}"
        )
    users = {user.id: user for user in (_user(where, raw) for where, raw in _records(folder, "users"))}
    for user_id in sorted(_named(rooms) - users.keys()):
        users[user_id] = User(user_id, user_id, "", None)
    return Export(tuple(users.values()), rooms)


def _named(rooms: tuple[Room, ...]) -> set[str]:
    senders = {message.sender_id for room in rooms for message in room.messages}
    return senders | {user_id for room in rooms for user_id in (room.creator_id, *room.member_ids)}


def _records(folder: Path, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    path = next((folder / (name + ending) for ending in _ENDINGS if (folder / (name + ending)).exists()), None)
    if path is None:
        raise Trouble(f"{folder} has no {name}.ndjson and no {name}.json")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise Trouble(f"{path} is not UTF-8: byte {error.start}") from None
    found = _array(path, text) if text.lstrip().startswith("[") else _lines(path, text)
    for where, record in found:
        if not isinstance(record, dict):
            raise Trouble(f"{where}: not an object")
        yield where, record


def _array(path: Path, text: str) -> Iterator[tuple[str, Any]]:
    for number, record in enumerate(_parse(str(path), text), start=1):
        yield f"{path}, record {number}", record


def _lines(path: Path, text: str) -> Iterator[tuple[str, Any]]:
    # Not splitlines: it splits at characters that stand unescaped in JSON's strings.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            where = f"{path}, line {number}"
            yield where, _parse(where, line)


def _parse(where: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise Trouble(f"{where}: not JSON: {error}") from None


def _user(where: str, raw: dict[str, Any]) -> User:
    user_id = _text(where, raw, "id")
    return User(user_id, raw.get("name") or user_id, raw.get("avatar_url") or "", raw.get("custom_data") or None)


def _room(where: str, raw: dict[str, Any], messages: dict[str, list[Message]]) -> Room:
    room_id = _text(where, raw, "id")
    return Room(
        id=room_id,
        name=raw.get("name") or room_id,
        is_private=bool(raw.get("private")),
        creator_id=_text(where, raw, "created_by_id"),
        member_ids=tuple(map(str, raw.get("member_ids") or ())),
        custom_data=raw.get("custom_data") or None,
        messages=tuple(messages.get(room_id, ())),
    )


def _message(where: str, raw: dict[str, Any], request_ids: Counter[tuple[str, str, str]]) -> tuple[str, Message]:
    room_id, sender_id = _text(where, raw, "room_id"), _text(where, raw, "sender_id")
    key = (room_id, sender_id, _text(where, raw, "id"))
    request_ids[key] += 1
    parts = tuple(_part(where, part) for part in raw.get("parts") or ())
    return room_id, Message(sender_id, parts, _request_id(key[2], request_ids[key]))


def _part(where: str, raw: dict[str, Any]) -> Part:
    payload = raw.get("payload")
    if not isinstance(payload, dict):
        raise Trouble(f"{where}: a part has no payload")
    content_type = str(payload.get("type") or "")
    match raw.get("part_type"):
        case "inline":
            return Part(content_type, str(payload.get("content") or ""), None)
        case "url":
            return Part(content_type, None, str(payload.get("url") or ""))
        case "attachment":
            return Part(content_type, None, str(payload.get("download_url") or ""))
        case kind:
            raise Trouble(f"{where}: part_type is {kind!r}")


def _request_id(message_id: str, occurrence: int) -> str:
    request_id = f"export-{message_id}" if occurrence == 1 else f"export-{message_id}-{occurrence}"
    if len(request_id) > _REQUEST_ID_CHARS:
        return sha256(request_id.encode()).hexdigest()
    return request_id


def _text(where: str, raw: dict[str, Any], field: str) -> str:
    value = raw.get(field)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value:
        raise Trouble(f"{where}: {field} is missing")
    return value
