"""Users as the domain sees them, and the rules that need nothing but them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class User:
    """A user as stored. `uid` is the identity of this creation of the id."""

    uid: UUID
    id: str
    name: str
    avatar_url: str
    custom_data: Mapping[str, Any] | None
    create_time: datetime
    update_time: datetime


@dataclass(frozen=True, slots=True)
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


def repeated_ids(drafts: Sequence[Draft]) -> list[str]:
    """Return the ids that stand more than once."""
    return [user_id for user_id, count in Counter(draft.id for draft in drafts).items() if count > 1]
