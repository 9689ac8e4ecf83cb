"""Reading a Chatkit export: users, rooms and messages, a record per line or one array per file.

Ids of messages repeat across rooms, and may be numbers or strings. The order within a room is that of the file: exports
have messages whose time is missing. A record is taken whole or refused whole; what was deleted is left out.
"""

from collections import Counter
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from google.protobuf import struct_pb2

from services.stack.exports.files import take
from services.stack.exports.records import (
    OddRecord,
    Raw,
    Refused,
    flag,
    items,
    struct,
    text,
    text_or_empty,
    texts,
)

_REQUEST_ID_CHARS = 64


@dataclass(frozen=True, slots=True)
class User:
    """A user of the export."""

    id: str
    name: str
    avatar_url: str
    custom_data: struct_pb2.Struct | None
    where: str = field(default="", compare=False)


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
    custom_data: struct_pb2.Struct | None = None
    where: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Room:
    """A room of the export with everything in it."""

    id: str
    name: str
    is_private: bool
    creator_id: str
    member_ids: tuple[str, ...]
    custom_data: struct_pb2.Struct | None
    messages: tuple[Message, ...]
    where: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Export:
    """A whole export; users that only messages or rooms name are there too, called like their ids."""

    users: tuple[User, ...]
    rooms: tuple[Room, ...]
    refused: tuple[Refused, ...] = ()
    # How many messages are left out because they were deleted, alone or with their room.
    deleted: int = 0
    # Ids of users whose records were refused: nobody takes their place.
    refused_user_ids: frozenset[str] = frozenset()


def read(folder: Path) -> Export:
    """Read an export; a file that can't be read at all is Trouble, a record that can't be taken is refused."""
    return _Reading().read(folder)


class _Reading:
    """What was read so far."""

    def __init__(self) -> None:
        self._users: dict[str, User] = {}
        self._rooms: dict[str, Room] = {}
        self._messages: dict[str, list[Message]] = {}
        self._request_ids: Counter[tuple[str, str, str]] = Counter()
        self._odd_user_ids: set[str] = set()
        self._odd_room_ids: set[str] = set()
        self._deleted_room_ids: set[str] = set()
        self._deleted = 0

    def read(self, folder: Path) -> Export:
        """Read the files, those first that others refer to."""
        files = (("users", self._user), ("rooms", self._room), ("messages", self._message))
        refused = tuple(odd for name, into in files for odd in take(folder, name, into))
        rooms = tuple(
            replace(room, messages=tuple(self._messages.get(room_id, ()))) for room_id, room in self._rooms.items()
        )
        for user_id, where in sorted(_named(rooms).items()):
            if user_id not in self._odd_user_ids:
                self._users.setdefault(user_id, User(user_id, user_id, "", None, where))
        return Export(
            users=tuple(self._users.values()),
            rooms=rooms,
            refused=refused,
            deleted=self._deleted,
            refused_user_ids=frozenset(self._odd_user_ids - self._users.keys()),
        )

    def _user(self, where: str, raw: Raw) -> None:
        user_id = text(raw, "id")
        try:
            user = User(user_id, text(raw, "name", user_id), text_or_empty(raw, "avatar_url"), _data(raw), where)
        except OddRecord:
            self._odd_user_ids.add(user_id)
            raise
        _put(self._users, user_id, user)

    def _room(self, where: str, raw: Raw) -> None:
        room_id = text(raw, "id")
        try:
            if _is_deleted(raw):
                self._deleted_room_ids.add(room_id)
                return
            room = Room(
                id=room_id,
                name=text(raw, "name", room_id),
                is_private=flag(raw, "private"),
                creator_id=text(raw, "created_by_id"),
                member_ids=texts(raw, "member_ids"),
                custom_data=_data(raw),
                messages=(),
                where=where,
            )
        except OddRecord:
            self._odd_room_ids.add(room_id)
            raise
        _put(self._rooms, room_id, room)

    def _message(self, where: str, raw: Raw) -> None:
        room_id, sender_id, message_id = text(raw, "room_id"), text(raw, "sender_id"), text(raw, "id")
        key = (room_id, sender_id, message_id)
        # Also of what is refused below: the request id is the same when the record was put right.
        self._request_ids[key] += 1
        if _is_deleted(raw) or room_id in self._deleted_room_ids - self._rooms.keys():
            self._deleted += 1
            return
        if room_id not in self._rooms:
            raise OddRecord(
                "its room was refused" if room_id in self._odd_room_ids else "its room is not in the export"
            )
        parts = tuple(_part(part) for part in items(raw, "parts"))
        request_id = _request_id(message_id, self._request_ids[key])
        message = Message(sender_id, parts, request_id, _data(raw), where)
        self._messages.setdefault(room_id, []).append(message)


_Record = TypeVar("_Record", User, Room)


def _put(records: dict[str, _Record], key: str, record: _Record) -> None:
    """Keep a record; the same one again is no fault, and another one of the same id is."""
    first = records.setdefault(key, record)
    if first != record:
        raise OddRecord(f"differs from {first.where}, which has the same id")


def _named(rooms: tuple[Room, ...]) -> dict[str, str]:
    """Return the users that rooms and messages name, and where each is named first."""
    named: dict[str, str] = {}
    for room in rooms:
        for user_id in (room.creator_id, *room.member_ids):
            named.setdefault(user_id, room.where)
        for message in room.messages:
            named.setdefault(message.sender_id, message.where)
    return named


def _is_deleted(raw: Raw) -> bool:
    return text_or_empty(raw, "deleted_at") != ""


def _data(raw: Raw) -> struct_pb2.Struct | None:
    return struct(raw, "custom_data")


def _part(raw: object) -> Part:
    payload = raw.get("payload") if isinstance(raw, dict) else None
    if not isinstance(raw, dict) or not isinstance(payload, dict):
        raise OddRecord("a part has no payload")
    content_type = text_or_empty(payload, "type")
    match raw.get("part_type"):
        case "inline":
            return Part(content_type, text_or_empty(payload, "content"), None)
        case "url":
            return Part(content_type, None, text_or_empty(payload, "url"))
        case "attachment":
            return Part(content_type, None, text_or_empty(payload, "download_url"))
        case kind:
            raise OddRecord(f"part_type is {kind!r}")


def _request_id(message_id: str, occurrence: int) -> str:
    request_id = f"export-{message_id}" if occurrence == 1 else f"export-{message_id}-{occurrence}"
    if len(request_id) > _REQUEST_ID_CHARS:
        return sha256(request_id.encode()).hexdigest()
    return request_id
