"""Protos to the domain and back, and nothing else."""

import uuid
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import cast

from chatkit.messages.v1 import messages_service_pb2 as pb2
from chatkit.messages.v1 import part_pb2
from google.protobuf.descriptor import Descriptor

from services.messages import frames
from services.messages.attachments.service import Attachments, clear_output, file_ids
from services.messages.batch_send import BatchSend
from services.messages.drafts import draft_of, edit_of
from services.messages.fanout.typing_indicator import TypingIndicator
from services.messages.follow_rooms import FollowRooms, RoomsSubscription
from services.messages.log.outcomes import Appended, Result
from services.messages.model import Deletion, Draft, MessagePage, Position
from services.messages.sending.send_streams import SendStreams
from services.messages.service import Messages
from services.messages.starts import Starts
from services.runtime.calls.call import Call
from services.runtime.calls.paging import PageTokens, page_size
from services.runtime.calls.spelling import JsonNames
from services.runtime.contract.errors import ChatkitError, invalid_field
from services.runtime.contract.policies import Limits
from services.runtime.ids import RoomId
from services.runtime.peers.directory import DirectoryClient

# Above every seq: where a listing from the newest message starts.
_END = 2**63 - 1
# In the key of a page: it goes on against the direction of the listing.
_BACK = "back"
_NAMES_OF_SENDING = JsonNames(cast("Descriptor", pb2.SendMessageRequest.DESCRIPTOR))


class MessagesServicer:
    """chatkit.messages.v1.MessagesService. It answers bytes: messages are serialized once, when they are stored."""

    SERVICE = pb2.DESCRIPTOR.services_by_name["MessagesService"]

    def __init__(
        self,
        messages: Messages,
        follow_rooms: FollowRooms,
        batches: BatchSend,
        send_streams: SendStreams,
        attachments: Attachments,
        typing: TypingIndicator,
        users: DirectoryClient,
        page_tokens: PageTokens,
        limits: Limits,
    ) -> None:
        self._messages = messages
        self._follow_rooms = follow_rooms
        self._batches = batches
        self._send_streams = send_streams
        self._typing = typing
        self._users = users
        self._attachments = attachments
        self._page_tokens = page_tokens
        self._limits = limits
        self._starts = Starts(limits)

    async def SendMessage(self, request: pb2.SendMessageRequest, call: Call) -> bytes:
        """Append a message."""
        # What this version does not know is not stored.
        request.DiscardUnknownFields()
        clear_output(request.parts)
        sender_uid = call.room.user_uid or await self._users.uid_of(call.acting_user, call.deadline)
        room_uid = call.room.room_uid

        def draft(parts: Sequence[part_pb2.Part]) -> Draft:
            return draft_of(request, room_uid, call.acting_user, sender_uid, parts)

        try:
            parts = await self._attachments.attach(
                request.parts, room_uid, sender_uid, request.request_id, call.deadline
            )
        except ChatkitError as refusal:
            (before,) = await self._messages.sent_before([draft(request.parts)])
            return frames.message_response(_settled(before, refusal).message)
        appended = await self._messages.send(draft(parts), call.deadline)
        return frames.message_response(appended.message)

    async def BatchSendMessages(self, request: pb2.BatchSendMessagesRequest, call: Call) -> bytes:
        """Append many messages."""
        request.DiscardUnknownFields()
        results = await self._batches.send(request.requests, call.user_id, call.deadline)
        return frames.batch_response(results, _NAMES_OF_SENDING if call.in_json() else None)

    def SendMessages(self, requests: AsyncIterator[pb2.SendMessagesRequest], call: Call) -> AsyncIterator[bytes]:
        """Append messages as they come."""
        return self._send_streams.send(requests, call)

    async def EditMessage(self, request: pb2.EditMessageRequest, call: Call) -> bytes:
        """Replace a message's parts."""
        request.DiscardUnknownFields()
        clear_output(request.parts)
        room, for_others = call.room, call.query_for_others
        # One of our own recognises the edit when it must be repeated after a commit of unknown outcome.
        request_id = request.request_id or uuid.uuid4().hex
        parts: Sequence[part_pb2.Part] = request.parts
        if file_ids(parts):
            # Asked first, so that nobody attaches anything to what they may not change.
            origin = await self._messages.origin(request.room_id, request.seq, room, for_others)
            for_others = None
            try:
                parts = await self._attachments.attach(parts, room.room_uid, *origin, call.deadline)
            except ChatkitError as refusal:
                before = await self._messages.edited_before(edit_of(request, room.room_uid, request_id, parts))
                return frames.message_response(_settled(before, refusal).message)
        edit = edit_of(request, room.room_uid, request_id, parts)
        edited = await self._messages.change(edit, room, for_others, call.deadline)
        return frames.message_response(edited.message)

    async def DeleteMessage(self, request: pb2.DeleteMessageRequest, call: Call) -> bytes:
        """Delete a message."""
        deletion = Deletion(call.room.room_uid, RoomId(request.room_id), request.seq)
        deleted = await self._messages.change(deletion, call.room, call.query_for_others, call.deadline)
        return frames.message_response(deleted.message)

    async def GetMessage(self, request: pb2.GetMessageRequest, call: Call) -> bytes:
        """Read one message."""
        message = await self._messages.get(request.room_id, call.room.room_uid, request.seq)
        return frames.message_response(message)

    async def BatchGetMessages(self, request: pb2.BatchGetMessagesRequest, call: Call) -> bytes:
        """Read several messages."""
        return frames.messages_response(await self._messages.get_some(call.room.room_uid, request.seqs))

    async def ListMessages(self, request: pb2.ListMessagesRequest, call: Call) -> bytes:
        """Read a page of messages."""
        if request.around_seq and request.from_seq:
            raise invalid_field("FIELD_INVALID", "around_seq", "must not be set together with from_seq")
        newer = request.direction == pb2.DIRECTION_NEWER
        page = await self._page(request, call, newer=newer)
        shown = page.messages if newer else page.messages[::-1]
        has_next, has_previous = (page.has_newer, page.has_older) if newer else (page.has_older, page.has_newer)
        make = partial(self._page_tokens.make, call.caller, request)
        return frames.page_response(
            [message for _, message in shown],
            next_page_token=make([shown[-1][0]]) if has_next else "",
            previous_page_token=make([shown[0][0], _BACK]) if has_previous and request.around_seq else "",
        )

    async def _page(self, request: pb2.ListMessagesRequest, call: Call, *, newer: bool) -> MessagePage:
        size, room_uid = page_size(request, self._limits), call.room.room_uid
        key = self._page_tokens.read(call.caller, request, {"direction": pb2.DIRECTION_OLDER})
        if key:
            return await self._messages.page(room_uid, int(key[0]), size, newer=newer != (_BACK in key))
        if request.around_seq:
            return await self._messages.page_around(room_uid, request.around_seq, size)
        return await self._messages.page(room_uid, request.from_seq or (0 if newer else _END), size, newer=newer)

    async def ListRoomEvents(self, request: pb2.ListRoomEventsRequest, call: Call) -> bytes:
        """Read a page of the log."""
        size = page_size(request, self._limits)
        after = Position(request.after.epoch, request.after.seq) if request.HasField("after") else None
        if key := self._page_tokens.read(call.caller, request):
            after = Position(str(key[0]), int(key[1]))
        stretch, end = await self._messages.events(call.room.room_uid, after, size + 1)
        page, more = stretch.entries[:size], stretch.entries[size:]
        token = self._page_tokens.make(call.caller, request, [end.epoch, page[-1].seq]) if more else ""
        return frames.log_response(RoomId(request.room_id), page, end, stretch.head.oldest_seq, token)

    async def SubscribeRoom(self, request: pb2.SubscribeRoomRequest, call: Call) -> AsyncIterator[bytes]:
        """Follow a room."""
        if call.query is None:
            raise RuntimeError("the method's policy asks for no membership")
        frames = self._messages.subscribe(
            call.query,
            call.room,
            call.caller,
            self._starts.of(request, self._starts.default),
            call.on_end,
            includes_cursors=request.include_cursors,
        )
        async for frame in frames:
            yield frame

    async def SendTyping(self, request: pb2.SendTypingRequest, call: Call) -> pb2.SendTypingResponse:
        """Show that a user is typing."""
        if call.room.user_uid is None:
            # A superuser acts for somebody who is no member, and may not even exist.
            await self._users.uid_of(call.acting_user, call.deadline)
        self._typing.show(RoomId(request.room_id), call.room.room_uid, call.acting_user)
        return pb2.SendTypingResponse()

    async def SubscribeRooms(self, request: pb2.SubscribeRoomsRequest, call: Call) -> AsyncIterator[bytes]:
        """Follow several rooms."""
        if call.query is None:
            raise RuntimeError("the method's policy asks for no membership")
        default = self._starts.default_of(request)
        wanted = RoomsSubscription(
            rooms=self._starts.of_rooms(request.rooms, default),
            default_start=default,
            follows_memberships=request.follow_memberships,
            includes_cursors=request.include_cursors,
            includes_read_states=request.include_read_states,
        )
        async for frame in self._follow_rooms.subscribe(call.query, call.caller, wanted, call.on_end):
            yield frame


def _settled(before: Result | None, refusal: ChatkitError) -> Appended:
    """Return what was stored before, or raise why it can't be repeated, or why it can't be stored now."""
    if isinstance(before, Appended):
        return before
    raise before or refusal
