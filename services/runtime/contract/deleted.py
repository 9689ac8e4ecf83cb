"""The errors for what was deleted."""

from services.runtime.contract.errors import NotFound, Unauthenticated


def room_deleted(room_id: str) -> NotFound:
    """Return the error for a room that was deleted."""
    return NotFound("ROOM_DELETED", "the room was deleted", metadata={"room_id": room_id})


def user_deleted() -> Unauthenticated:
    """Return the error for a user who was deleted."""
    return Unauthenticated("USER_DELETED", "the user was deleted, and tokens from before are of no use any more")
