"""chatkit.internal.erasure.v1.ErasureService, which is the same in every service that serves it."""

from typing import Protocol

from chatkit.internal.erasure.v1 import erasure_service_pb2 as pb2

from services.runtime.calls.call import Call
from services.runtime.contract.errors import invalid_field
from services.runtime.contract.uids import uid_of
from services.runtime.deadline import Deadline
from services.runtime.ids import RoomUid

# What is removed takes as long at the most, however long the caller would wait: it hears how it stands, and asks again.
_MOST_SECONDS = 2.0


class Eraser(Protocol):
    """What removes what a service has of a subject."""

    async def erase_room(self, room_uid: RoomUid, until: Deadline) -> bool:
        """Let nothing new come into being in a room and remove what there is; False when the time was too short."""


class ErasureServicer:
    """chatkit.internal.erasure.v1.ErasureService."""

    SERVICE = pb2.DESCRIPTOR.services_by_name["ErasureService"]

    def __init__(self, eraser: Eraser) -> None:
        self._eraser = eraser

    async def Erase(self, request: pb2.EraseRequest, call: Call) -> pb2.EraseResponse:
        """Remove some of what there is of a subject."""
        if request.WhichOneof("subject") != "room_uid":
            raise invalid_field("FIELD_REQUIRED", "subject", "names nothing that this release knows how to erase")
        until = min(call.deadline, Deadline.after(_MOST_SECONDS))
        return pb2.EraseResponse(
            is_done=await self._eraser.erase_room(RoomUid(uid_of(request.room_uid, "room_uid")), until)
        )
