"""Users as the domain sees them, and the rules that need nothing but them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.runtime.ids import NOBODY, UserId, UserUid
from services.runtime.kinds import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A user as stored. `uid` is the identity of this creation of the id."""

    uid: UserUid
    id: str
    name: str
    avatar_url: str
    custom_data: Mapping[str, Any] | None
    create_time: datetime
    update_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A user to create."""

    id: str
    name: str
    avatar_url: str
    custom_data: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class PageStart:
    """Where a listing starts: users created at `min_create_time` or later, after the last one of the page before."""

    min_create_time: datetime | None
    after: tuple[datetime, str] | None


@dataclass(frozen=True, slots=True)
class SearchStart:
    """Where a page of a search starts: after a user, among those found by name, or then those found by id alone."""

    user_id: UserId
    # How the user's name is compared; None among those found by id.
    name_key: str | None


FIRST_FOUND = SearchStart(user_id=NOBODY, name_key="")


class ChangeKind(Kind):
    """What a change was; the numbers are those in the database."""

    # A later release wrote it, and this one can't tell what it is.
    UNKNOWN = 0
    USER_UPDATED = 1
    USER_ONLINE = 2
    USER_OFFLINE = 3
    USER_DELETED = 4
    # What it was is forgotten, because the user was deleted: whoever has not read it begins anew.
    FORGOTTEN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of a user; its version is 0 before it is recorded."""

    version: int
    kind: ChangeKind
    user_uid: UserUid
    user_id: str
    # When it happened; None leaves that to the database when it is recorded.
    time: datetime | None = None


class PresenceState(Kind):
    """Whether a user is there; the numbers are those in the database."""

    # A later release wrote it, and this one can't tell what it is.
    UNKNOWN = 0
    ONLINE = 1
    OFFLINE = 2


@dataclass(frozen=True, slots=True)
class Presence:
    """How it stands with a user, since when; a user who never was there has no time."""

    state: PresenceState
    change_time: datetime | None


ABSENT = Presence(PresenceState.OFFLINE, None)


@dataclass(frozen=True, slots=True)
class Presences:
    """How it stands with users as of a version of the changes; those who never were there are missing."""

    version: int
    of_user: Mapping[UserUid, Presence]


def repeated_ids(drafts: Sequence[Draft]) -> list[str]:
    """Return the ids that stand more than once."""
    return [user_id for user_id, count in Counter(draft.id for draft in drafts).items() if count > 1]
