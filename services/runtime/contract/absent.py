"""The errors for what is not there, or was deleted."""

import json
from collections.abc import Iterable

from services.runtime.contract.errors import NotFound, Unauthenticated


def room_deleted(room_id: str) -> NotFound:
    """Return the error for a room that was deleted."""
    return NotFound("ROOM_DELETED", "the room was deleted", metadata={"room_id": room_id})


def user_deleted() -> Unauthenticated:
    """Return the error for a user who was deleted."""
    return Unauthenticated("USER_DELETED", "the user was deleted, and tokens from before are of no use any more")


def users_not_found(user_ids: Iterable[str]) -> NotFound:
    """Return the error for users who do not exist."""
    missing = list(user_ids)
    return NotFound(
        "USER_NOT_FOUND",
        "the user does not exist" if len(missing) == 1 else "some of the users do not exist",
        metadata={"user_ids": json.dumps(missing, ensure_ascii=False)},
    )
