"""chatkit.messages.v1.ReadStatesService: protos to the domain and back, and nothing else."""

from uuid import UUID

from chatkit.messages.v1 import read_states_service_pb2 as pb2

from services.messages.peers import RoomOfUser, RoomsClient
from services.messages.read_states.frames import cursor_proto, read_state, room_summary
from services.messages.read_states.model import Move
from services.messages.read_states.service import Reader, ReadStates
from services.messages.read_states.summaries import RoomSummaries, RoomSummary
from services.runtime.calls.call import Call
from services.runtime.calls.paging import PageTokens, fitting, page_size
from services.runtime.contract.errors import invalid_field
from services.runtime.contract.policies import Limits
from services.runtime.contract.wire import embedded
from services.runtime.ids import RoomId, UserId, UserUid
from services.runtime.peers.directory import DirectoryClient

_FIRST = UserUid(UUID(int=0))


class ReadStatesServicer:
    """chatkit.messages.v1.ReadStatesService."""

    SERVICE = pb2.DESCRIPTOR.services_by_name["ReadStatesService"]

    def __init__(
        self,
        read_states: ReadStates,
        summaries: RoomSummaries,
        rooms: RoomsClient,
        users: DirectoryClient,
        page_tokens: PageTokens,
        limits: Limits,
    ) -> None:
        self._read_states = read_states
        self._summaries = summaries
        self._rooms = rooms
        self._users = users
        self._page_tokens = page_tokens
        self._limits = limits

    async def SetReadCursor(self, request: pb2.SetReadCursorRequest, call: Call) -> pb2.SetReadCursorResponse:
        """Move a cursor."""
        move = Move(
            room_uid=call.room.room_uid,
            user_uid=call.room.user_uid or await self._users.uid_of(call.acting_user, call.deadline),
            user_id=call.acting_user,
            seq=request.seq,
            allow_backward=request.allow_backward,
        )
        cursor = await self._read_states.move(request.room_id, move)
        return pb2.SetReadCursorResponse(cursor=cursor_proto(request.room_id, cursor))

    async def GetReadCursor(self, request: pb2.GetReadCursorRequest, call: Call) -> pb2.GetReadCursorResponse:
        """Read a cursor."""
        user_id = request.user_id or call.acting_user
        is_own = user_id == call.user_id
        user_uid = (call.room.user_uid if is_own else None) or await self._users.uid_of(user_id, call.deadline)
        cursor = await self._read_states.find(call.room.room_uid, user_uid)
        if cursor is None:
            return pb2.GetReadCursorResponse()
        return pb2.GetReadCursorResponse(cursor=cursor_proto(request.room_id, cursor))

    async def ListReadCursors(self, request: pb2.ListReadCursorsRequest, call: Call) -> pb2.ListReadCursorsResponse:
        """Read a page of a room's cursors, or of a user's."""
        if request.room_id:
            return await self._cursors_of_room(request, call)
        user_id = call.on_behalf_of(request.user_id, "user_id")
        rooms, token = await self._rooms_of(user_id, request, call)
        cursors = await self._read_states.of_user(rooms)
        return pb2.ListReadCursorsResponse(
            cursors=[cursor_proto(room_id, cursor) for room_id, cursor in cursors], next_page_token=token
        )

    async def ListReadStates(self, request: pb2.ListReadStatesRequest, call: Call) -> bytes:
        """Read a page of a user's read states, or that of one room."""
        user_id, token = call.acting_user, ""
        if request.room_id:
            user_uid = call.room.user_uid or await self._users.uid_of(user_id, call.deadline)
            rooms = [RoomOfUser(RoomId(request.room_id), call.room.room_uid, user_uid)]
        else:
            rooms, token = await self._rooms_of(user_id, request, call)
        reader = Reader(user_id, call.caller.superuser)
        states = await self._read_states.states(reader, rooms, call.deadline)
        field = pb2.ListReadStatesResponse.READ_STATES_FIELD_NUMBER
        page = [embedded(field, read_state(room.room_id, state)) for room, state in zip(rooms, states, strict=True)]
        return b"".join([*page, pb2.ListReadStatesResponse(next_page_token=token).SerializeToString()])

    async def ListRoomSummaries(self, request: pb2.ListRoomSummariesRequest, call: Call) -> bytes:
        """Read a page of a user's rooms, the latest to move first."""
        key = self._page_tokens.read(call.caller, request, {"user_id": call.caller.subject})
        after = (int(key[0]), str(key[1])) if key else None
        reader = Reader(call.acting_user, call.caller.superuser)
        page = await self._summaries.page(reader, after, page_size(request, self._limits), call.deadline)
        if not page.summaries and not key and request.user_id:
            # Who is in no room may also not exist.
            await self._users.uid_of(request.user_id, call.deadline)
        pieces = list(fitting(map(_piece, page.summaries), len))
        is_whole = len(pieces) == len(page.summaries)
        next_key = page.next_key if is_whole else page.summaries[len(pieces) - 1].latest.key
        token = self._page_tokens.make(call.caller, request, next_key) if next_key is not None else ""
        return b"".join([*pieces, pb2.ListRoomSummariesResponse(next_page_token=token).SerializeToString()])

    async def GetUnreadTotal(self, request: pb2.GetUnreadTotalRequest, call: Call) -> pb2.GetUnreadTotalResponse:
        """Count what is unread in all rooms of a user."""
        total = await self._read_states.total(Reader(call.acting_user, call.caller.superuser), call.deadline)
        if request.user_id and not total.room_count:
            # Who has nothing unread may also not exist.
            await self._users.uid_of(request.user_id, call.deadline)
        return pb2.GetUnreadTotalResponse(
            unread_count=total.count, unread_capped=total.is_capped, unread_room_count=total.room_count
        )

    async def _cursors_of_room(self, request: pb2.ListReadCursorsRequest, call: Call) -> pb2.ListReadCursorsResponse:
        if request.user_id:
            raise invalid_field("FIELD_INVALID", "user_id", "must be empty beside room_id")
        key = self._page_tokens.read(call.caller, request)
        after = UserUid(UUID(str(key[0]))) if key else _FIRST
        size = page_size(request, self._limits)
        cursors, last = await self._read_states.of_room(request.room_id, call.room.room_uid, after, size, call.deadline)
        return pb2.ListReadCursorsResponse(
            cursors=[cursor_proto(request.room_id, cursor) for cursor in cursors],
            next_page_token=self._page_tokens.make(call.caller, request, [str(last)]) if last is not None else "",
        )

    async def _rooms_of(
        self, user_id: UserId, request: pb2.ListReadCursorsRequest | pb2.ListReadStatesRequest, call: Call
    ) -> tuple[list[RoomOfUser], str]:
        """Return a page of the user's rooms, which rooms pages through, and the token of the next."""
        key = self._page_tokens.read(call.caller, request, {"user_id": call.caller.subject})
        size = page_size(request, self._limits)
        rooms, next_token = await self._rooms.of_user(user_id, size, str(key[0]) if key else "", call.deadline)
        if not rooms and not key and request.user_id:
            # Who is in no room may also not exist.
            await self._users.uid_of(user_id, call.deadline)
        return rooms, self._page_tokens.make(call.caller, request, [next_token]) if next_token else ""


def _piece(summary: RoomSummary) -> bytes:
    """Serialize a summary as a part of an answer."""
    shown = room_summary(summary.room, summary.others, summary.state, summary.latest.last_time)
    return embedded(pb2.ListRoomSummariesResponse.SUMMARIES_FIELD_NUMBER, shown)
