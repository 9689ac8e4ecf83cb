"""Rooms as the domain sees them, and the rules that need nothing but them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any
from uuid import UUID


class Visibility(IntEnum):
    """Who may find and join a room; the numbers are the contract's, and those in the database."""

    PUBLIC = 1
    PRIVATE = 2


class ChangeKind(IntEnum):
    """What became of a membership; the numbers are those in the database."""

    MEMBER_ADDED = 1
    MEMBER_REMOVED = 2


@dataclass(frozen=True, slots=True)
class Room:
    """A room as stored. `uid` is the identity of this creation of the id; `revision` moves with its description."""

    uid: UUID
    id: str
    name: str
    visibility: Visibility
    custom_data: Mapping[str, Any] | None
    creator_id: str
    member_count: int
    revision: int
    create_time: datetime
    update_time: datetime

    @property
    def etag(self) -> str:
        """What callers compare the description by."""
        return str(self.revision)


@dataclass(frozen=True, slots=True)
class Draft:
    """A room to create; members are ids with uids, the creator's among them."""

    uid: UUID
    id: str
    name: str
    visibility: Visibility
    custom_data: Mapping[str, Any] | None
    creator_id: str
    members: Mapping[str, UUID]
    request_id: str
    content_hash: bytes


@dataclass(frozen=True, slots=True)
class RoomView:
    """A room beside the ids of its members."""

    room: Room
    member_ids: Sequence[str]


@dataclass(frozen=True, slots=True)
class Standing:
    """How a user stands to a room, read at one moment: the room's uid is None if there is no such room."""

    version: int
    room_uid: UUID | None
    visibility: Visibility | None
    user_uid: UUID | None


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a membership. Versions are dense, and their order is the order of commits."""

    version: int
    kind: ChangeKind
    room_uid: UUID
    user_uid: UUID
