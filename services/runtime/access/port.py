"""The port through which the runtime asks who may act, and the changes of access that others are told of.

Rooms answers from its store; every other service asks it, and keeps what it allowed (`rooms.py`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from chatkit.contract.v1 import method_policy_pb2

from services.runtime.contract.absent import user_deleted
from services.runtime.contract.errors import ChatkitError
from services.runtime.ids import NO_ROOM, RoomId, RoomUid, UserId, UserUid

# A role's scope, by the contract's numbers, and its name.
RoleKey = tuple[int, str]


@dataclass(frozen=True, slots=True)
class AccessQuery:
    """Who wants to act, in which room if any, and what the method asks of them."""

    # Empty for methods that act in no room; then `membership` means nothing.
    room_id: RoomId
    # None only for superusers.
    user_id: UserId | None
    superuser: bool
    membership: method_policy_pb2.Membership
    permission: str
    # When the caller's token was signed, in seconds since 1970. The answer does not depend on it, its use does.
    token_time: float = field(default=math.inf, compare=False)


@dataclass(frozen=True, slots=True)
class AccessGrant:
    """That the user may act, as of a version of the changes of access, and the roles that this depends on."""

    version: int
    # None when no room was asked for, or when it does not exist and need not.
    room_uid: RoomUid | None
    # Set if the user is a member of the room.
    user_uid: UserUid | None
    roles: tuple[RoleKey, ...] = ()
    # The user's id was another one's, who was deleted then, in seconds since 1970: of no use for tokens from before.
    tokens_after: float = 0.0

    def for_caller(self, query: AccessQuery) -> "AccessGrant":
        """Return the grant if it is one for the token of whoever asks, or raise USER_DELETED."""
        if query.token_time <= self.tokens_after and not query.superuser:
            raise user_deleted()
        return self


@dataclass(frozen=True, slots=True)
class RoomGrant:
    """That the user may act in a room: the room's uid, and the user's if they are a member."""

    room_uid: RoomUid
    user_uid: UserUid | None


class AccessChecker(Protocol):
    """Whoever knows the memberships and the roles."""

    async def check(self, query: AccessQuery) -> AccessGrant:
        """Return the grant, or raise ROOM_ACCESS_DENIED or PERMISSION_MISSING; for superusers ROOM_NOT_FOUND."""


class RoomsChecker(AccessChecker, Protocol):
    """Whoever can also be asked about many rooms at once, and for what is known without asking."""

    def kept(self, query: AccessQuery) -> AccessGrant | None:
        """Return the grant if it is known and may be used now."""

    async def check_rooms(self, query: AccessQuery, room_ids: Sequence[str]) -> list[AccessGrant | ChatkitError]:
        """Answer the query for each of the rooms instead of its own, in the order given."""


@dataclass(frozen=True, slots=True)
class MembershipChanged:
    """A user became a member of a room, or is one no longer."""

    room_uid: RoomUid
    user_uid: UserUid
    # Empty when it was not recorded.
    user_id: UserId
    is_member: bool
    # Empty when it was not recorded.
    room_id: RoomId = NO_ROOM


@dataclass(frozen=True, slots=True)
class RoleAssigned:
    """A user has another role, or none: in one room, or everywhere when `room_uid` is None."""

    user_id: UserId
    room_uid: RoomUid | None


@dataclass(frozen=True, slots=True)
class RoleChanged:
    """A role grants other permissions, or was deleted."""

    role: RoleKey


@dataclass(frozen=True, slots=True)
class RoomUpdated:
    """A room's description is another; who may do what is not."""

    room_uid: RoomUid


@dataclass(frozen=True, slots=True)
class RoomDeleted:
    """A room is no more, and nobody has access to it, whatever their roles."""

    room_uid: RoomUid


AccessChange = MembershipChanged | RoleAssigned | RoleChanged | RoomUpdated | RoomDeleted


class AccessListener(Protocol):
    """Whoever must act on changes of access; it is told in the step in which the kept answers are dropped."""

    def changed(self, change: AccessChange) -> None:
        """Hear of a change."""

    def missed(self) -> None:
        """Hear that changes were missed, or not understood: whoever had access may have it no longer."""

    def fresh_again(self) -> None:
        """Hear that all changes up to a moment ago have arrived, after a time without knowing."""
