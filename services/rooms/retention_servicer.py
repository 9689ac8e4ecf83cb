"""chatkit.internal.retention.v1.RetentionService: what rooms tells those who keep things for rooms."""

from chatkit.internal.retention.v1 import retention_service_pb2 as pb2

from services.rooms.views_store import RoomViewStore
from services.runtime.calls.call import Call
from services.runtime.contract.uids import uid_of
from services.runtime.ids import RoomUid


class RetentionServicer:
    """chatkit.internal.retention.v1.RetentionService."""

    SERVICE = pb2.DESCRIPTOR.services_by_name["RetentionService"]

    def __init__(self, views: RoomViewStore) -> None:
        self._views = views

    async def BatchGetRetention(
        self, request: pb2.BatchGetRetentionRequest, _call: Call
    ) -> pb2.BatchGetRetentionResponse:
        """Read the retention of rooms."""
        asked = [RoomUid(uid_of(uid, f"room_uids[{index}]")) for index, uid in enumerate(request.room_uids)]
        found = await self._views.retention(asked)
        rooms = [pb2.RoomRetention(room_uid=uid.bytes, days=days) for uid, days in found.items()]
        return pb2.BatchGetRetentionResponse(rooms=rooms)
