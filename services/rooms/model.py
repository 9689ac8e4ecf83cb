"""Rooms as the domain sees them, and the rules that need nothing but them."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any

from services.runtime.ids import RoomId, RoomUid, UserId, UserUid
from services.runtime.kinds import Kind


class Visibility(Kind):
    """Who may find and join a room; the numbers are the contract's, and those in the database."""

    # A later release wrote it. It is not PUBLIC, so only members get in.
    UNKNOWN = 0
    PUBLIC = 1
    PRIVATE = 2


class RoleScope(Kind):
    """Where a role counts; the numbers are the contract's, and those in the database."""

    # A later release wrote it: a role that nobody holds here.
    UNKNOWN = 0
    GLOBAL = 1
    ROOM = 2


# The global role of everyone who was assigned no other.
DEFAULT_ROLE = "default"


class MembershipRule(IntEnum):
    """What a method asks of its caller in the room that it names; the numbers are the contract's."""

    REQUIRED = 1
    REQUIRED_UNLESS_PUBLIC = 2
    NOT_REQUIRED = 3


class Refusal(StrEnum):
    """Why a user may not act; the values are the contract's reasons."""

    ROOM_NOT_FOUND = "ROOM_NOT_FOUND"
    ROOM_ACCESS_DENIED = "ROOM_ACCESS_DENIED"
    PERMISSION_MISSING = "PERMISSION_MISSING"


class ChangeKind(Kind):
    """What a change was; the numbers are those in the database."""

    # A later release wrote it, and this one can't tell what it is.
    UNKNOWN = 0
    MEMBER_ADDED = 1
    MEMBER_REMOVED = 2
    ROLE_ASSIGNED = 3
    ROLE_CHANGED = 4
    ROOM_UPDATED = 5
    ROOM_DELETED = 6
    # A member is one no longer, because the user was deleted.
    MEMBER_DELETED = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """A room as stored. `uid` is the identity of this creation of the id; `revision` moves with its description."""

    uid: RoomUid
    id: RoomId
    name: str
    visibility: Visibility
    custom_data: Mapping[str, Any] | None
    creator_id: UserId
    member_count: int
    revision: int
    create_time: datetime
    update_time: datetime
    # None is no title of its own; an empty one is a title.
    push_notification_title_override: str | None = None
    # How long messages are kept; None is the deployment's retention.
    retention_days: int | None = None
    # The two users of a direct room, each in an order of their own; none for every other room.
    direct_user_ids: Sequence[str] = ()
    direct_user_uids: Sequence[UserUid] = ()

    @property
    def etag(self) -> str:
        """What callers compare the description by."""
        return str(self.revision)

    @property
    def is_direct(self) -> bool:
        """Whether the room is the one of two users, who alone may be members."""
        return bool(self.direct_user_uids)

    def may_have(self, user_uids: Iterable[UserUid]) -> bool:
        """Tell whether these users may be members, as far as the kind of the room decides it."""
        return not self.is_direct or set(user_uids) <= set(self.direct_user_uids)

    def may_become(self, visibility: Visibility) -> bool:
        """Tell whether the room may have this visibility: a direct room is private."""
        return not self.is_direct or visibility == Visibility.PRIVATE


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A room to create; members are ids with uids, the creator's among them."""

    uid: RoomUid
    id: RoomId
    name: str
    visibility: Visibility
    custom_data: Mapping[str, Any] | None
    creator_id: UserId
    members: Mapping[str, UserUid]
    request_id: str = ""
    # What is kept of the content, and what may have been kept of the same.
    content_hashes: Sequence[bytes] = ()
    push_notification_title_override: str | None = None
    retention_days: int | None = None
    # The room is the direct one of its members, who are two.
    is_direct: bool = False
    # When it was created and described, if that was not now.
    create_time: datetime | None = None
    update_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class RoomView:
    """A room beside the ids of its members."""

    room: Room
    member_ids: Sequence[str]


@dataclass(frozen=True, slots=True)
class Role:
    """A named set of permissions, which are in the order of code points and each there once."""

    scope: RoleScope
    name: str
    permissions: Sequence[str]


@dataclass(frozen=True, slots=True)
class AssignedRole:
    """A role that a user has; `room_id` is empty for the global one."""

    role: Role
    room_id: RoomId


@dataclass(frozen=True, slots=True)
class HeldRole:
    """The name of a role that a user has, and whether it grants the permission that was asked about."""

    name: str
    grants: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """How a user stands to a room, read at one moment: the room's uid is None if there is no such room."""

    version: int
    room_uid: RoomUid | None
    visibility: Visibility | None
    # None unless the user is a member.
    user_uid: UserUid | None
    global_role: HeldRole
    # The role in the room, which counts only for a member.
    room_role: HeldRole | None = None
    # When another user of the same id was deleted, in seconds since 1970.
    tokens_after: float = 0.0

    @property
    def roles(self) -> tuple[tuple[RoleScope, str], ...]:
        """The roles that count."""
        held = ((RoleScope.GLOBAL, self.global_role.name),)
        if self.user_uid is None or self.room_role is None:
            return held
        return (*held, (RoleScope.ROOM, self.room_role.name))

    @property
    def is_granted(self) -> bool:
        """Whether one of the roles that count grants the permission that was asked about."""
        in_room = self.user_uid is not None and self.room_role is not None and self.room_role.grants
        return self.global_role.grants or in_room


@dataclass(frozen=True, slots=True)
class Permissions:
    """What the roles that count grant a user in a room, and whether they are a member."""

    names: AbstractSet[str]
    is_member: bool


def refusal(standing: Standing, rule: MembershipRule, *, superuser: bool, asks_permission: bool) -> Refusal | None:
    """Say why a user may not act, if so; where no room is named, the rule is NOT_REQUIRED.

    Membership comes before the permission: whoever is not in the room learns nothing of it, whatever their roles.
    """
    if rule is not MembershipRule.NOT_REQUIRED:
        if standing.room_uid is None:
            return Refusal.ROOM_NOT_FOUND if superuser else Refusal.ROOM_ACCESS_DENIED
        is_open = rule is MembershipRule.REQUIRED_UNLESS_PUBLIC and standing.visibility is Visibility.PUBLIC
        if standing.user_uid is None and not is_open and not superuser:
            return Refusal.ROOM_ACCESS_DENIED
    if asks_permission and not standing.is_granted and not superuser:
        return Refusal.PERMISSION_MISSING
    return None


def changed_permissions(old: Sequence[str], add: Sequence[str], remove: Sequence[str]) -> list[str]:
    """Return what a role grants after a change, in the order of code points."""
    return sorted((set(old) | set(add)) - set(remove))


@dataclass(frozen=True, slots=True)
class RoomOfUser:
    """A room of which a user is a member, by id and uids."""

    room_id: RoomId
    room_uid: RoomUid
    user_uid: UserUid


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of access or of a room's description; what it is not about is None.

    Versions are dense, and their order is the order of commits. A change that is yet to be recorded has version 0.
    """

    version: int
    kind: ChangeKind
    room_uid: RoomUid | None = None
    user_uid: UserUid | None = None
    # None also in changes of memberships that an earlier release recorded.
    user_id: UserId | None = None
    role: tuple[RoleScope, str] | None = None
    # None before it is recorded.
    time: datetime | None = None
    # Of the room of a membership; None in changes that an earlier release recorded, and if the room was deleted since.
    # Empty in the change that says so, if its members are noted, which an earlier release left out.
    room_id: RoomId | None = None
