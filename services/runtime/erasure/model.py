"""Deletions as the services that run them see them."""

import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NewType, Self
from uuid import UUID

from services.runtime.ids import RoomUid, UserId, UserUid
from services.runtime.kinds import Kind

DeletionId = NewType("DeletionId", UUID)
KEY_BYTES = 32
_PSEUDONYM_BYTES = 10


@dataclass(frozen=True, slots=True)
class PseudonymKey:
    """What the pseudonyms of a deleted user are made from; who has forgotten it can't tell whose they are."""

    secret: bytes = field(repr=False)

    @classmethod
    def new(cls) -> Self:
        """Return a random key."""
        return cls(secrets.token_bytes(KEY_BYTES))

    def pseudonym_in(self, room_uid: RoomUid) -> UserId:
        """Return who the user is in a room: the same for all that they wrote there, and another one elsewhere."""
        return UserId(f"deleted-{hmac.digest(self.secret, room_uid.bytes, 'sha256')[:_PSEUDONYM_BYTES].hex()}")


@dataclass(frozen=True, slots=True)
class ErasedUser:
    """A user who is deleted: the identity, and the id, which is nobody else's as long as that goes on."""

    uid: UserUid
    id: UserId
    # None: what they wrote goes, too.
    pseudonyms: PseudonymKey | None = None


class DeletionState(Kind):
    """How far a deletion is; the numbers are the contract's, and those in the database."""

    # A later release wrote it: it is not done, as far as this one knows.
    UNKNOWN = 0
    RUNNING = 1
    DONE = 2


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many deletions are not done, and for how long the oldest of them has run."""

    count: int
    oldest_seconds: float


@dataclass(frozen=True, slots=True)
class ServiceDeletion:
    """How far a deletion is in one service, and since when."""

    service: str
    state: DeletionState
    update_time: datetime

    @property
    def is_done(self) -> bool:
        """Whether the service has nothing of the subject any more."""
        return self.state is DeletionState.DONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """A deletion; what is known of its subject is forgotten when it is done, but for the uid."""

    id: DeletionId
    subject_uid: RoomUid | UserUid
    # Empty once it is done.
    subject_id: str
    state: DeletionState
    create_time: datetime
    update_time: datetime
    # Of a user whose messages stay, and until it is done.
    keeps_messages: bool
    pseudonyms: PseudonymKey | None
    # By their names.
    services: Sequence[ServiceDeletion]
