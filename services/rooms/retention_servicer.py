"""chatkit.internal.retention.v1.RetentionService: what rooms tells those who keep things for rooms."""

from uuid import UUID

from chatkit.internal.retention.v1 import retention_service_pb2 as pb2

from services.rooms.store import RoomStore
from services.runtime.call import Call
from services.runtime.errors import invalid_field

_UID_BYTES = 16


class RetentionServicer:
    """chatkit.internal.retention.v1.RetentionService."""

    def __init__(self, store: RoomStore) -> None:
        self._store = store

    async def BatchGetRetention(
        self, request: pb2.BatchGetRetentionRequest, _call: Call
    ) -> pb2.BatchGetRetentionResponse:
        """Read the retention of rooms."""
        found = await self._store.retention([_uid(index, uid) for index, uid in enumerate(request.room_uids)])
        rooms = [pb2.RoomRetention(room_uid=uid.bytes, days=days) for uid, days in found.items()]
        return pb2.BatchGetRetentionResponse(rooms=rooms)


def _uid(index: int, uid: bytes) -> UUID:
    if len(uid) != _UID_BYTES:
        raise invalid_field("FIELD_INVALID", f"room_uids[{index}]", f"must have {_UID_BYTES} bytes")
    return UUID(bytes=uid)
