"""Deletions as the services that run them see them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NewType
from uuid import UUID

from services.runtime.ids import RoomUid, UserId, UserUid
from services.runtime.kinds import Kind

DeletionId = NewType("DeletionId", UUID)


@dataclass(frozen=True, slots=True)
class ErasedUser:
    """A user who is deleted: the identity, and the id, which is nobody else's as long as that goes on."""

    uid: UserUid
    id: UserId


class DeletionState(Kind):
    """How far a deletion is; the numbers are the contract's, and those in the database."""

    # A later release wrote it: it is not done, as far as this one knows.
    UNKNOWN = 0
    RUNNING = 1
    DONE = 2


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
    # By their names.
    services: Sequence[ServiceDeletion]
