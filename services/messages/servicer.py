"""Protos to the domain and back, and nothing else."""

import hashlib
from collections.abc import AsyncIterator

from chatkit.contract.v1 import limit_pb2
from chatkit.messages.v1 import messages_service_pb2 as pb2

from services.messages import wire
from services.messages.model import Draft, Position, Start
from services.messages.peers import Users
from services.messages.service import Messages
from services.runtime.contract import Limits
from services.runtime.handlers import Call
from services.runtime.paging import PageTokens, page_size

# Above every seq: where a listing from the newest message starts.
_END = 2**63 - 1


class MessagesServicer:
    """chatkit.messages.v1.MessagesService. It answers bytes: messages are serialized once, when they are stored."""

    def __init__(self, messages: Messages, users: Users, page_tokens: PageTokens, limits: Limits) -> None:
        self._messages = messages
        self._users = users
        self._page_tokens = page_tokens
        self._limits = limits

    async def SendMessage(self, request: pb2.SendMessageRequest, call: Call) -> bytes:
        """Append a message."""
        # What this version does not know is not stored.
        request.DiscardUnknownFields()
        sender_uid = call.room.user_uid or await self._users.uid_of(call.acting_user)
        content = pb2.SendMessageRequest(parts=request.parts).SerializeToString(deterministic=True)
        draft = Draft(
            room_uid=call.room.room_uid,
            room_id=request.room_id,
            sender_uid=sender_uid,
            request_id=request.request_id,
            content_hash=hashlib.sha256(content).digest(),
            unplaced=wire.unplaced_message(request.room_id, call.acting_user, list(request.parts)),
        )
        appended = await self._messages.send(draft, call.seconds)
        return wire.message_response(appended.entry.message)

    async def GetMessage(self, request: pb2.GetMessageRequest, call: Call) -> bytes:
        """Read one message."""
        message = await self._messages.get(request.room_id, call.room.room_uid, request.seq)
        return wire.message_response(message)

    async def ListMessages(self, request: pb2.ListMessagesRequest, call: Call) -> bytes:
        """Read a page of messages."""
        size = page_size(request, self._limits)
        newer = request.direction == pb2.DIRECTION_NEWER
        key = self._page_tokens.read(call.caller, request)
        start = int(key[0]) if key else request.from_seq or (0 if newer else _END)
        page = await self._messages.page(call.room.room_uid, start, size + 1, newer=newer)
        token = self._page_tokens.make(call.caller, request, [page[size - 1][0]]) if len(page) > size else ""
        return wire.page_response([message for _, message in page[:size]], token)

    async def SubscribeRoom(self, request: pb2.SubscribeRoomRequest, call: Call) -> AsyncIterator[bytes]:
        """Follow a room."""
        if call.query is None:
            raise RuntimeError("the method's policy asks for no membership")
        frames = self._messages.subscribe(call.query, call.room, call.caller, self._start(request), call.on_end)
        async for frame in frames:
            yield frame

    def _start(self, request: pb2.SubscribeRoomRequest) -> Start:
        default = self._limits[limit_pb2.LIMIT_PAGE_SIZE_DEFAULT]
        match request.WhichOneof("start"):
            case "after":
                return Start(Position(request.after.epoch, request.after.seq), default)
            case "last":
                return Start(None, request.last)
            case _:
                return Start(None, default)
