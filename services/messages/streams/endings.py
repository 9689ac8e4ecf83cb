"""How those who follow a room end by what rooms says of their access."""

from services.messages.streams.follower import Follower
from services.runtime.access.port import AccessGrant
from services.runtime.contract.absent import room_deleted
from services.runtime.contract.errors import Aborted, ChatkitError, NotFound, PermissionDenied


def apply_answer(answer: AccessGrant | ChatkitError, room: Follower, doubts: int) -> None:
    """Trust a follower whose access was in doubt, or end them; the answer is to a question of that many doubts."""
    room_id = room.room_id
    match answer:
        case NotFound():
            room.cut(room_deleted(room_id))
        case ChatkitError(reason="PERMISSION_MISSING" | "USER_DELETED"):
            room.cut(answer)
        case ChatkitError():
            room.cut(removed(room_id))
        case _:
            if answer.room_uid != room.room_uid:
                room.cut(room_replaced())
            # An answer from before another change is not trusted; that change has queued the stream again.
            room.trust(answer.roles, doubts)


def removed(room_id: str) -> PermissionDenied:
    """Return the error with which the streams of a removed member end."""
    return PermissionDenied(
        "REMOVED_FROM_ROOM", "the user is no longer a member of the room", metadata={"room_id": room_id}
    )


def room_replaced() -> Aborted:
    """Return the error with which streams end whose room's id is another room's now."""
    return Aborted("LOG_RESET", "another room has the id now: subscribe again")
