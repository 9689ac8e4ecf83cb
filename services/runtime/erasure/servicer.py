"""chatkit.internal.erasure.v1.ErasureService, which is the same in every service that serves it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace

from chatkit.internal.erasure.v1 import erasure_service_pb2 as pb2

from services.runtime.calls.call import Call
from services.runtime.contract.errors import invalid_field
from services.runtime.contract.uids import uid_of
from services.runtime.deadline import Deadline
from services.runtime.erasure.exporting import Export, frames
from services.runtime.erasure.model import KEY_BYTES, ErasedUser, PseudonymKey
from services.runtime.ids import RoomUid, UserId, UserUid

# What is removed takes as long at the most, however long the caller would wait: it hears how it stands, and asks again.
_MOST_SECONDS = 2.0

# Lets nothing new come into being for a subject and removes what there is; False when the time was too short.
EraseRoom = Callable[[RoomUid, Deadline], Awaitable[bool]]
EraseUser = Callable[[ErasedUser, Deadline], Awaitable[bool]]


class ErasureServicer:
    """chatkit.internal.erasure.v1.ErasureService; what a service has nothing of, nobody asks it to erase."""

    SERVICE = pb2.DESCRIPTOR.services_by_name["ErasureService"]

    def __init__(self, *, room: EraseRoom | None = None, user: EraseUser, export: Export) -> None:
        self._room = room
        self._user = user
        self._export = export

    async def Erase(self, request: pb2.EraseRequest, call: Call) -> pb2.EraseResponse:
        """Remove some of what there is of a subject."""
        until = min(call.deadline, Deadline.after(_MOST_SECONDS))
        kind = request.WhichOneof("subject")
        if kind == "room_uid" and self._room is not None:
            is_done = await self._room(RoomUid(uid_of(request.room_uid, "room_uid")), until)
        elif kind == "user":
            is_done = await self._user(_user(request.user, "user"), until)
        elif kind == "anonymized_user":
            is_done = await self._user(_anonymized(request.anonymized_user), until)
        else:
            raise invalid_field("FIELD_REQUIRED", "subject", "names nothing that can be erased here")
        return pb2.EraseResponse(is_done=is_done)

    async def Export(self, request: pb2.ExportRequest, _call: Call) -> AsyncIterator[pb2.ExportResponse]:
        """Tell what there is of a user."""
        async with aclosing(frames(self._export(_user(request.user, "user")))) as found:
            async for frame in found:
                yield pb2.ExportResponse(records=frame)


def _user(user: pb2.ErasedUser, path: str) -> ErasedUser:
    return ErasedUser(UserUid(uid_of(user.uid, f"{path}.uid")), UserId(user.id))


def _anonymized(kept: pb2.AnonymizedUser) -> ErasedUser:
    if len(kept.pseudonym_key) != KEY_BYTES:
        raise invalid_field("FIELD_INVALID", "anonymized_user.pseudonym_key", f"must have {KEY_BYTES} bytes")
    return replace(_user(kept.user, "anonymized_user.user"), pseudonyms=PseudonymKey(kept.pseudonym_key))
