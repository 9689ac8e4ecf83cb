"""chatkit.internal.descriptions.v1.DescriptionsService: what rooms tells those who show rooms."""

from chatkit.internal.descriptions.v1 import descriptions_service_pb2 as pb2

from services.rooms.model import RoomView
from services.rooms.protos import room_proto
from services.rooms.views_store import RoomViewStore
from services.runtime.calls.call import Call
from services.runtime.calls.paging import fitting
from services.runtime.contract.uids import uid_of
from services.runtime.ids import RoomUid, UserId


class DescriptionsServicer:
    """chatkit.internal.descriptions.v1.DescriptionsService."""

    SERVICE = pb2.DESCRIPTOR.services_by_name["DescriptionsService"]

    def __init__(self, views: RoomViewStore) -> None:
        self._views = views

    async def BatchDescribeRooms(
        self, request: pb2.BatchDescribeRoomsRequest, _call: Call
    ) -> pb2.BatchDescribeRoomsResponse:
        """Describe rooms of a user, as many as fit into an answer."""
        asked = [RoomUid(uid_of(uid, f"room_uids[{index}]")) for index, uid in enumerate(request.room_uids)]
        views = await self._views.views_for(UserId(request.user_id), asked, request.most_members)
        known = [index for index, uid in enumerate(asked) if uid in views]
        described = (_description(asked[index], views[asked[index]]) for index in known)
        rooms = list(fitting(described, pb2.RoomDescription.ByteSize))
        # Up to the first one that does not fit.
        answered_count = known[len(rooms)] if len(rooms) < len(known) else len(asked)
        return pb2.BatchDescribeRoomsResponse(rooms=rooms, answered_count=answered_count)


def _description(uid: RoomUid, view: RoomView) -> pb2.RoomDescription:
    return pb2.RoomDescription(room_uid=uid.bytes, room=room_proto(view.room), member_ids=view.member_ids)
