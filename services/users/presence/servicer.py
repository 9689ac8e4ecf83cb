"""chatkit.users.v1.PresenceService: protos to the domain and back, and nothing else."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from chatkit.users.v1 import presence_service_pb2 as pb2

from services.runtime.calls.call import Call
from services.users.presence.service import PresenceRequest, PresenceStreams
from services.users.protos import presence_proto


class PresenceServicer:
    """chatkit.users.v1.PresenceService. Streams are of bytes: an event is serialized once, however many are told."""

    SERVICE = pb2.DESCRIPTOR.services_by_name["PresenceService"]

    def __init__(self, presence: PresenceStreams) -> None:
        self._presence = presence

    async def SubscribePresence(self, request: pb2.SubscribePresenceRequest, call: Call) -> AsyncIterator[bytes]:
        """Make a user online, and follow the presence of others."""
        wanted = PresenceRequest(call.acting_user, request.online, list(dict.fromkeys(request.watch_user_ids)))
        # Closed with the call: whoever hangs up is there no longer.
        async with aclosing(self._presence.subscribe(wanted, call.caller, call.query, call.on_end)) as frames:
            async for frame in frames:
                yield frame

    async def GetPresence(self, request: pb2.GetPresenceRequest, _call: Call) -> pb2.GetPresenceResponse:
        """Read the presence of several users."""
        found = await self._presence.get(request.user_ids)
        return pb2.GetPresenceResponse(presences=[presence_proto(user_id, presence) for user_id, presence in found])
